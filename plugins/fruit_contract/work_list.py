"""The work list: one Parquet file that names the images of a run.

The Airflow side writes it with pyarrow, the Spark steps read it. A row is an image as the plan
saw it; a step that finds another one under the same key rejects it rather than guess.
"""

from typing import Final

WORK_LIST_COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("key", "string"),
    ("uri", "string"),
    ("etag", "string"),
    ("size", "int64"),
)
"""Column names and Arrow type names, in order.

``key``   the S3 key as raw UTF-8, never URL-encoded; for a local image, its path.
``uri``   ``s3://<bucket>/<key>``, or the local path. Unique in the list; the ``path`` of the features.
``etag``  the object's ETag without quotes; ``""`` where there is none (a local image): not compared.
``size``  bytes; negative where unknown: not compared.
"""
