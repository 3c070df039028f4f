"""The work list of a run: every photo under the prefix, as Parquet on S3.

Listing is streamed page by page into one Parquet file, so memory does not grow with the number
of keys.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fruit_contract.layout import RunLayout, is_image_key

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
    ]
)


@dataclass
class Listing:
    """What was found under a prefix."""

    images: int = 0
    image_bytes: int = 0
    ignored: int = 0
    """Objects that are not named like images, folder markers among them."""


def write_work_list(s3: Any, layout: RunLayout, prefix: str) -> Listing:
    """List ``prefix`` and write the work list of the run; nothing is written when there is no image."""
    listing = Listing()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.parquet")
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=layout.bucket, Prefix=prefix)
            for page in pages:
                _write_page(page.get("Contents", []), layout, writer, listing)
        if listing.images:
            s3.upload_file(str(path), layout.bucket, layout.work_list)
    return listing


def _write_page(objects: list[dict[str, Any]], layout: RunLayout, writer: Any, listing: Listing) -> None:
    images = [entry for entry in objects if is_image_key(entry["Key"])]
    listing.ignored += len(objects) - len(images)
    listing.images += len(images)
    listing.image_bytes += sum(entry["Size"] for entry in images)
    rows = [
        {
            "key": entry["Key"],
            "uri": layout.uri(entry["Key"]),
            "etag": entry["ETag"].strip('"'),
            "size": entry["Size"],
        }
        for entry in images
    ]
    writer.write_table(pa.Table.from_pylist(rows, schema=SCHEMA))
