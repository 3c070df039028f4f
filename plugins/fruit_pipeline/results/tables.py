"""Parquet on S3, written and read a bounded number of rows at a time."""

import io
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fruit_pipeline.errors import UnreadableError

ROWS_PER_GROUP: Final = 50_000
"""Some megabytes of keys: enough for Parquet to compress well, little for a worker."""
_ROWS_PER_BATCH: Final = 8192
_SAMPLED_ROWS: Final = 1024
_READ_BYTES: Final = 2**20


class RowWriter:
    """Rows, as tuples in the order of a schema's fields, into one Parquet file on this machine."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path, self.rows = path, 0
        self._schema, self._held = schema, list[tuple[Any, ...]]()
        self._writer = pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True)

    def write(self, row: tuple[Any, ...]) -> None:
        self._held.append(row)
        self.rows += 1
        if len(self._held) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        columns = list(zip(*self._held, strict=True)) or [()] * len(self._schema)
        arrays = [pa.array(values, field.type) for values, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._held = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._held:
            self._flush()
        self._writer.close()


def rows_of(batches: Iterable[pa.RecordBatch], columns: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
    """The rows of some batches as tuples of the columns."""
    for batch in batches:
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def keys_under(s3: Any, bucket: str, prefix: str, suffix: str = "") -> Iterator[str]:
    """The keys under a prefix that end like that, in their order."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith(suffix):
                yield entry["Key"]


def batches_under(s3: Any, bucket: str, prefix: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of the Parquet files under a prefix, file by file in the order of their names.

    ``UnreadableError`` for a file that is none, or whose pages are not what was written.
    """
    for key in keys_under(s3, bucket, prefix, ".parquet"):
        yield from batches_of(s3, bucket, key, columns)


def column_under(s3: Any, bucket: str, prefix: str, column: str) -> Iterator[list[Any]]:
    """One column of the Parquet files under a prefix, some rows at a time; the others are not fetched."""
    for key in keys_under(s3, bucket, prefix, ".parquet"):
        with _reading(s3, bucket, key) as file:
            for batch in file.iter_batches(batch_size=_ROWS_PER_BATCH, columns=[column]):
                yield batch.column(column).to_pylist()


def first_rows_under(s3: Any, bucket: str, prefix: str, column: str) -> Iterator[pa.Array]:
    """The first rows of each of the files, of which there may be many, in one column."""
    for key in keys_under(s3, bucket, prefix, ".parquet"):
        with _reading(s3, bucket, key) as file:
            for batch in file.iter_batches(batch_size=_SAMPLED_ROWS, columns=[column]):
                yield batch.column(column)
                break


def rows_with(
    s3: Any, bucket: str, prefix: str, key: str, columns: tuple[str, ...]
) -> Iterator[tuple[Any, ...]]:
    """The rows of one ``key``: only the row groups that may hold it are fetched, of files sorted by it."""
    for name in keys_under(s3, bucket, prefix, ".parquet"):
        with _reading(s3, bucket, name) as file:
            place = file.schema_arrow.get_field_index("key")
            for group in range(file.num_row_groups):
                known = file.metadata.row_group(group).column(place).statistics
                if known is None or not known.has_min_max or known.min <= key <= known.max:
                    found = file.read_row_group(group, ["key", *columns])
                    rows = rows_of(found.to_batches(), ("key", *columns))
                    yield from (row[1:] for row in rows if row[0] == key)


@contextmanager
def _reading(s3: Any, bucket: str, key: str) -> Iterator[pq.ParquetFile]:
    try:
        source = _ObjectRanges(s3, bucket, key)
        yield pq.ParquetFile(source, page_checksum_verification=True, buffer_size=_READ_BYTES)
    except (pa.ArrowException, OSError) as error:
        raise UnreadableError(bucket, key, error) from error


class _ObjectRanges(io.RawIOBase):
    """An object on S3 that is read where it is looked at, by requests for ranges."""

    def __init__(self, s3: Any, bucket: str, key: str) -> None:
        self._s3, self._of, self._at = s3, {"Bucket": bucket, "Key": key}, 0
        self._bytes: int = s3.head_object(**self._of)["ContentLength"]

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._bytes}[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        end = min(self._at + len(buffer), self._bytes)
        if end <= self._at:
            return 0
        answer = self._s3.get_object(**self._of, Range=f"bytes={self._at}-{end - 1}")
        body: bytes = answer["Body"].read()
        buffer[: len(body)] = body
        self._at += len(body)
        return len(body)


def batches_of(s3: Any, bucket: str, key: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The same of one file."""
    with tempfile.TemporaryFile() as stream:
        s3.download_fileobj(bucket, key, stream)
        try:
            yield from batches_in(stream, columns)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableError(bucket, key, error) from error


def batches_in(file: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file on this machine, open or by its path; Arrow's errors are its own."""
    # Buffered: else a whole column of a row group is held.
    with pq.ParquetFile(file, page_checksum_verification=True, buffer_size=_READ_BYTES) as opened:
        yield from opened.iter_batches(batch_size=_ROWS_PER_BATCH, columns=columns)
