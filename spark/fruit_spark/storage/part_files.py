"""Parquet that the Python tasks write themselves: a task leaves one file, whole or not at all.

Through Spark's rows and its Parquet writer each number of a vector is handled one by one in Java;
that takes longer than the arithmetic behind it. Here Arrow's buffers go into the file as they are.

A file is made on the task's own disk and put in its place in one go. Its name is the task's: one that
runs again replaces its own file by the same one, which is all that a committer would have to see to.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import pyarrow as pa

from fruit_contract.layout import split_uri
from fruit_spark.step_errors import StepError
from fruit_spark.storage.s3 import is_s3, store_for

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS_DDL: Final = "rows long, summary binary"
ROW_GROUP_BYTES: Final = 32 * 2**20
"""What a task holds in memory before it goes to the disk: small beside its vectors, large for a reader."""
_WRITTEN: Final = pa.schema([("rows", pa.int64()), ("summary", pa.binary())])
Batches = Iterator[pa.RecordBatch]


def write_parts(
    function: Callable[[Batches], Batches],
    folder: str,
    repetitive: tuple[str, ...] = (),
    summary: Callable[[], bytes] | None = None,
) -> Callable[[Batches], Batches]:
    """For ``mapInArrow``: writes what ``function`` yields into ``folder``, and yields the number of rows.

    ``folder`` is an S3 address or a local path, ``repetitive`` the columns whose values repeat. Two uses
    of the same folder never share a file's name. A task without a row leaves no file. ``summary`` says
    at a task's end, beside the number, what else the driver shall know of its rows.
    """
    job = uuid4().hex[:12]

    def write(batches: Batches) -> Batches:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None  # it runs in a task
        name = f"part-{context.partitionId():05d}-{job}.parquet"
        rows = _write(function(batches), folder, name, repetitive)
        told = summary() if summary else None
        yield pa.RecordBatch.from_pydict({"rows": [rows], "summary": [told]}, schema=_WRITTEN)

    return write


def write_table(table: pa.Table, folder: str) -> None:
    """One small table as the one file of ``folder``, from the driver."""
    _write(table.to_batches() or [_no_rows(table.schema)], folder, "part-00000.parquet", ())


def _no_rows(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


@contextmanager
def whole(file: str) -> Iterator[None]:
    """While a Parquet file is read: ``StepError`` where its pages are not what was written."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise StepError(
            f"{file} cannot be read ({str(error).splitlines()[0]}): run again with full_refresh=true, which "
            "computes everything anew."
        ) from error


def mark_complete(spark: "SparkSession", folder: str) -> None:
    """Leave the marker that Spark's own writer leaves when every task is done."""
    from fruit_spark.storage import hadoop

    hadoop.write_bytes(spark, f"{folder.rstrip('/')}/_SUCCESS", b"")


def _write(batches: Iterable[pa.RecordBatch], folder: str, name: str, repetitive: tuple[str, ...]) -> int:
    import pyarrow.parquet as pq

    rows = 0
    with tempfile.TemporaryDirectory(prefix="fruit-part-") as scratch:
        file = Path(scratch, name)
        writer: pq.ParquetWriter | None = None
        for table in _row_groups(batches):
            # Of vectors hardly two values are equal: a dictionary of them would only be thrown away again.
            writer = writer or pq.ParquetWriter(
                file,
                table.schema,
                compression="snappy",
                use_dictionary=list(repetitive),
                write_page_checksum=True,
            )
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            rows += table.num_rows
        if writer is not None:
            writer.close()
            _put(file, folder, name)
    return rows


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    held, size = list[pa.RecordBatch](), 0
    for batch in batches:
        held.append(batch)
        size += batch.nbytes
        if size >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(held)
            held, size = [], 0
    if held:
        yield pa.Table.from_batches(held)


def _put(file: Path, folder: str, name: str) -> None:
    if is_s3(folder):
        import obstore

        bucket, prefix = split_uri(folder)
        # One request, or for a large file a multipart upload: until it is complete there is no object.
        obstore.put(store_for(bucket), f"{prefix.rstrip('/')}/{name}", file)
        return
    target = Path(folder.removeprefix("file://"))
    target.mkdir(parents=True, exist_ok=True)
    # Spark's readers pass over names that begin with a dot; within one folder a rename is atomic.
    beside = target / f".{name}.{os.getpid()}"
    shutil.copyfile(file, beside)
    beside.replace(target / name)
