"""The photos under a prefix as S3 lists them, in the order of their keys, page by page."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from fruit_contract.layout import is_image_key

LISTING_SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("last_modified", pa.timestamp("ms", tz="UTC"), nullable=False),
    ]
)
"""``key`` is raw UTF-8, ``etag`` without quotes, ``size`` in bytes."""


@dataclass
class Counts:
    """What was listed so far."""

    images: int = 0
    image_bytes: int = 0
    ignored: int = 0
    """Objects that are not named like images, folder markers among them."""


def listed(s3: Any, bucket: str, prefix: str, counts: Counts) -> Iterator[pa.RecordBatch]:
    """The images under ``prefix`` in batches of ``LISTING_SCHEMA``, by the UTF-8 bytes of their keys.

    What is no image is counted and left out. Memory does not grow with the number of keys.
    """
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        objects = page.get("Contents", [])
        images = [entry for entry in objects if is_image_key(entry["Key"])]
        counts.ignored += len(objects) - len(images)
        counts.images += len(images)
        counts.image_bytes += sum(entry["Size"] for entry in images)
        if images:
            yield pa.RecordBatch.from_pydict(
                {
                    "key": [entry["Key"] for entry in images],
                    "etag": [entry["ETag"].strip('"') for entry in images],
                    "size": [entry["Size"] for entry in images],
                    "last_modified": [entry["LastModified"] for entry in images],
                },
                schema=LISTING_SCHEMA,
            )
