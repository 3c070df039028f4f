"""Publishes one result after the other, with a failed run and a garbage collection between them.

``python -m tests.publisher BUCKET`` publishes once for each line that it reads, and answers with a line.
"""

import io
import os
import sys
from typing import Any, Final

import boto3
import pyarrow as pa
import pyarrow.parquet as pq

from fruit_contract.layout import RunLayout
from fruit_contract.manifest import LIVE
from fruit_pipeline.results import garbage
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA
from fruit_pipeline.results.publication import PublicationError, move_pointer, pointer_to, read_pointer

PARTS: Final = 3
ROWS: Final = 20
"""In each part of a result. The label of a row is the number of the run that wrote it."""
KEPT: Final = 2


def publish_next(s3: Any, bucket: str, number: int) -> None:
    """Write and publish result ``number``, let an older run fail to, leave one half done, and clean up."""
    planned_on = read_pointer(s3, bucket).etag
    _write(s3, RunLayout(bucket, f"half-{number}"), number, parts=1)
    layout = RunLayout(bucket, f"run-{number}")
    _write(s3, layout, number, PARTS)
    move_pointer(s3, bucket, _pointer(layout), planned_on)
    late = RunLayout(bucket, f"late-{number}")
    _write(s3, late, number, PARTS)
    try:
        move_pointer(s3, bucket, _pointer(late), planned_on)
    except PublicationError:
        garbage.collect(s3, bucket, KEPT)
    else:
        raise AssertionError("a run that was planned on an older result was published")


def _pointer(layout: RunLayout) -> Any:
    nothing: Any = {}
    reduced: Any = {"rows": 2, "components": 1, "share_asked": None, "solver": "blocks", "scaling": "none"}
    reduced["explained_variance"] = 1.0
    return pointer_to(layout, layout.run_key, nothing, nothing, reduced)


def _write(s3: Any, layout: RunLayout, number: int, parts: int) -> None:
    for part in range(parts):
        rows = [
            {"path": f"{part}-{row}", "label": str(number), "features": [float(number)]}
            for row in range(ROWS)
        ]
        _put(s3, layout, f"{layout.pca_output}part-{part}.parquet", pa.Table.from_pylist(rows))
    photo = {"key": "a", "etag": "1", "size": 1, "state": LIVE, "reason": None, "source": layout.source}
    _put(s3, layout, f"{layout.manifest}rows.parquet", pa.Table.from_pylist([photo], MANIFEST_SCHEMA))
    s3.put_object(Bucket=layout.bucket, Key=f"{layout.features}part-0.parquet", Body=b"rows")


def _put(s3: Any, layout: RunLayout, key: str, table: pa.Table) -> None:
    body = io.BytesIO()
    pq.write_table(table, body)
    s3.put_object(Bucket=layout.bucket, Key=key, Body=body.getvalue())


def main() -> None:
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"], region_name="eu-west-1")
    for number, _ in enumerate(sys.stdin):
        publish_next(s3, sys.argv[1], number)
        print(number, flush=True)


if __name__ == "__main__":
    main()
