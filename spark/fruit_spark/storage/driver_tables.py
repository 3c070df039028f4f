"""The driver's own look into Parquet: counts and narrow columns, without a Spark job.

A job of Spark's begins with seconds of planning and compiling; what is asked here Arrow answers from
the files' footers, many at a time.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fruit_contract.layout import split_uri
from fruit_spark.storage.s3 import is_s3, s3_file_system

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.dataset import Dataset, FileSystemDataset

ROWS_AT_ONCE: Final = 8192
FILES_AT_ONCE: Final = 512
"""A dataset keeps the footer of each file that it has read: 17 kB of a feature file, measured."""


def open_table(uri: str) -> "FileSystemDataset":
    """The Parquet file at ``uri``, or the files in that folder, but for names with a ``_`` or ``.`` in front.

    An S3 address or a local path; ``FileNotFoundError`` where nothing is.
    """
    from pyarrow import dataset, fs

    if is_s3(uri):
        return dataset.dataset("/".join(split_uri(uri)), filesystem=s3_file_system(), format="parquet")
    path = uri.removeprefix("file://")
    return dataset.dataset(path, filesystem=fs.LocalFileSystem(), format="parquet")


def some_files_at_a_time(table: "FileSystemDataset") -> Iterator["Dataset"]:
    """The same rows, in datasets of ``FILES_AT_ONCE`` files, each to be forgotten after its use."""
    from pyarrow import dataset

    for begin in range(0, len(table.files), FILES_AT_ONCE):
        yield dataset.FileSystemDataset.from_paths(
            table.files[begin : begin + FILES_AT_ONCE],
            schema=table.schema,
            format=table.format,
            filesystem=table.filesystem,
        )


def batches_of(table: "FileSystemDataset", columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
    """The rows of a long table in their order, ``ROWS_AT_ONCE`` at most; a file may lack some columns.

    The scan of a dataset would read hundreds of megabytes ahead, whatever readahead it is asked for.
    """
    import pyarrow.parquet as pq

    for path in table.files:
        with table.filesystem.open_input_file(path) as file:
            yield from pq.ParquetFile(file).iter_batches(ROWS_AT_ONCE, columns=list(columns))
