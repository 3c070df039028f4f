"""The work list of a run: every photo under the prefix, as Parquet on S3.

Listing is streamed page by page into one Parquet file, so memory does not grow with the number
of keys.
"""

import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fruit_contract.layout import RunLayout
from fruit_pipeline.listing import Counts, listed

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
    ]
)


def write_work_list(s3: Any, layout: RunLayout, prefix: str) -> Counts:
    """List ``prefix`` and write the work list of the run; nothing is written when there is no image."""
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "images.parquet")
        with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
            for batch in listed(s3, layout.bucket, prefix, counts):
                writer.write_batch(_with_uri(batch, layout))
        if counts.images:
            s3.upload_file(str(path), layout.bucket, layout.work_list)
    return counts


def _with_uri(batch: pa.RecordBatch, layout: RunLayout) -> pa.RecordBatch:
    key = batch.column("key")
    uri = pc.binary_join_element_wise(layout.uri(""), key, "")
    return pa.RecordBatch.from_arrays([key, uri, batch.column("etag"), batch.column("size")], schema=SCHEMA)
