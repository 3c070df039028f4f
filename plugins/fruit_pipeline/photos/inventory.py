"""Read a report of S3 Inventory instead of listing the bucket.

A report is a ``manifest.json`` and the data files that it names, CSV (gzip, keys URL-encoded) or Parquet, in
the manifest's own bucket. It is made daily or weekly: newer photos are not in it, and a photo that has gone
or changed since is rejected by the featurize step, not confused with another.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory-location.html

The rows are in no order, and are sorted on disk (:mod:`fruit_pipeline.photos.external_sort`).
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote_plus

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from fruit_contract.layout import split_uri
from fruit_pipeline.photos.bucket_listing import OBJECT_SCHEMA, ListingError
from fruit_pipeline.photos.external_sort import by_key

_NEEDED: Final = {"key": "Key", "size": "Size", "e_tag": "ETag"}
"""Columns by Parquet's name, and CSV's. Key is always there, the others where the configuration asks."""
_WANTED: Final = {**_NEEDED, "is_latest": "IsLatest", "is_delete_marker": "IsDeleteMarker"}
_ROWS: Final = 20_000


def inventory_objects(s3: Any, uri: str, bucket: str, prefix: str) -> Iterator[pa.RecordBatch]:
    """The current objects of ``bucket`` under ``prefix`` that the report at ``uri`` names, sorted by key.

    Batches of ``OBJECT_SCHEMA``; ``ListingError`` where the report cannot be used.
    """
    report = _Report(s3, uri, bucket)
    with tempfile.TemporaryDirectory(prefix="inventory-") as name:
        folder = Path(name)
        batches = (_current(batch, prefix) for batch in report.batches(folder))
        yield from by_key(batches, OBJECT_SCHEMA, folder)


class _Report:
    """A manifest and its data files."""

    def __init__(self, s3: Any, uri: str, bucket: str) -> None:
        self._s3, self._uri = s3, uri
        try:
            self._bucket, key = split_uri(uri)
            manifest = json.loads(self._read(key))
            self._files = [(file["key"], file["MD5checksum"]) for file in manifest["files"]]
            source, self._format, schema = (manifest[n] for n in ("sourceBucket", "fileFormat", "fileSchema"))
        except (ValueError, KeyError, TypeError) as error:
            raise ListingError(
                f"The inventory {uri!r} is no manifest of S3 Inventory ({error}): give s3://.../manifest.json."
            ) from error
        if source != bucket:
            raise ListingError(
                f"The inventory {uri!r} is of bucket {source!r}, and the run's bucket is {bucket!r}: give "
                "one of that, or leave inventory empty."
            )
        if self._format not in ("CSV", "Parquet"):
            raise ListingError(
                f"The inventory {uri!r} is written as {self._format}: configure it as CSV or Apache Parquet."
            )
        self._columns = self._column_names(schema)

    def _column_names(self, schema: str) -> list[str]:
        """The names of the columns in Parquet's spelling, in the order of the file."""
        if self._format == "Parquet":
            columns = re.findall(r"(?:required|optional) \w+ (\w+)", schema)
        else:
            known = {csv: name for name, csv in _WANTED.items()}
            columns = [known.get(column.strip(), column.strip()) for column in schema.split(",")]
        missing = [_NEEDED[name] for name in _NEEDED if name not in columns]
        if missing:
            raise ListingError(
                f"The inventory {self._uri!r} does not have {' and '.join(missing)}: add that to the "
                "metadata of its configuration, and wait for the next report."
            )
        return columns

    def batches(self, folder: Path) -> Iterator[pa.RecordBatch]:
        """Every row of every file; a file is on disk while it is read."""
        path = folder / "data"
        for key, md5 in self._files:
            self._download(key, md5, path)
            yield from self._parquet(path) if self._format == "Parquet" else self._csv(path)

    def _parquet(self, path: Path) -> Iterator[pa.RecordBatch]:
        wanted = [name for name in self._columns if name in _WANTED]
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(_ROWS, columns=wanted)

    def _csv(self, path: Path) -> Iterator[pa.RecordBatch]:
        text = {name: pa.string() for name in self._columns}
        options = {
            "read_options": pa.csv.ReadOptions(
                column_names=self._columns, block_size=2 * 2**20, use_threads=False
            ),
            "convert_options": pa.csv.ConvertOptions(
                column_types=text, include_columns=[name for name in self._columns if name in _WANTED]
            ),
        }
        with pa.input_stream(str(path), compression="gzip") as stream:
            for batch in pa.csv.open_csv(stream, **options):
                keys = [unquote_plus(key) for key in batch.column("key").to_pylist()]
                yield batch.set_column(
                    batch.schema.get_field_index("key"), "key", pa.array(keys, pa.string())
                )

    def _download(self, key: str, md5: str, path: Path) -> None:
        try:
            self._s3.download_file(self._bucket, key, str(path))
        except ClientError as error:
            raise self._unreadable(key, error) from error
        with path.open("rb") as file:
            if hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() != md5:
                raise ListingError(
                    f"s3://{self._bucket}/{key} is not the file that {self._uri!r} names (its MD5 differs): "
                    "give another report."
                )

    def _read(self, key: str) -> bytes:
        try:
            content: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        except ClientError as error:
            raise self._unreadable(key, error) from error
        return content

    def _unreadable(self, key: str, error: ClientError) -> ListingError:
        return ListingError(
            f"s3://{self._bucket}/{key} of the inventory {self._uri!r} cannot be read "
            f"({error.response['Error']['Code']}): allow s3:GetObject on it, or give another report."
        )


def _current(rows: pa.RecordBatch, prefix: str) -> pa.RecordBatch:
    """Rows of a report as objects: those under the prefix, and of a versioned bucket what is not deleted.

    In CSV every value is text, and one that is not there is empty.
    """
    names = rows.schema.names
    keep = pc.starts_with(rows.column("key"), prefix)
    if "is_latest" in names:
        keep = pc.and_(keep, _truth(rows.column("is_latest"), absent=True))
    if "is_delete_marker" in names:
        keep = pc.and_(keep, pc.invert(_truth(rows.column("is_delete_marker"), absent=False)))
    rows = rows.filter(keep)
    columns = [
        rows.column("key"),
        pc.utf8_trim(rows.column("e_tag"), '"'),
        rows.column("size").cast(pa.int64()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=OBJECT_SCHEMA)


def _truth(values: pa.Array, *, absent: bool) -> pa.Array:
    if pa.types.is_string(values.type):
        values = pc.if_else(pc.equal(values, ""), None, pc.equal(pc.utf8_lower(values), "true"))
    return pc.fill_null(values, absent)
