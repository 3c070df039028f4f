"""The Parquet files of the features, read by the Python tasks themselves.

On its way through Spark's reader and its rows each of the 1,280 numbers of a vector is copied
several times in Java; that takes longer than the arithmetic of the PCA. Here Arrow reads them into
the one buffer that NumPy multiplies.
"""

import urllib.parse
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fruit_spark.readers import s3_file_system
from fruit_spark.storage import hadoop_uri
from fruit_spark.without_pandas import map_in_arrow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FEATURES: Final = "features"
Batches = Iterator[pa.RecordBatch]
ROWS_PER_BLOCK: Final = 2_048
"""10 MB of float32, 21 MB of float64: enough for BLAS to be busy, little for a worker."""


def map_features(
    spark: "SparkSession",
    features: str,
    columns: list[str],
    tasks: int,
    function: Callable[[Batches], Batches],
    ddl: str,
) -> "DataFrame":
    """``function`` over the rows of ``features`` that have a vector, in ``tasks`` tasks of like size.

    Each task gets the batches of ``columns`` in its share of the files; what it yields is a DataFrame
    of ``ddl``.
    """
    # Spark lists them: it knows the store, and which names are no data.
    files = spark.read.schema(f"{FEATURES} array<float>").parquet(hadoop_uri(spark, features)).inputFiles()
    ordered = sorted(files)

    def apply(numbers: Batches) -> Batches:
        for batch in numbers:
            for number in batch.column("id").to_pylist():
                yield from function(_read(ordered[number::tasks], columns))

    # One number a partition: a task's own, by which it finds its files.
    return map_in_arrow(spark.range(0, tasks, 1, tasks), apply, ddl)


def _read(files: Iterable[str], columns: list[str]) -> Batches:
    import pyarrow.parquet as pq

    for file in files:
        with _open(file) as stream:
            for batch in pq.ParquetFile(stream).iter_batches(ROWS_PER_BLOCK, columns=columns):
                vectors = batch.column(FEATURES)
                # A rejected image has none.
                yield batch.filter(pc.is_valid(vectors)) if vectors.null_count else batch


def _open(file: str) -> Any:
    """A Parquet file as Spark names it: a URI with its odd characters encoded."""
    address = urllib.parse.urlsplit(file)
    path = urllib.parse.unquote(address.path)
    if address.scheme in ("s3", "s3a"):
        return s3_file_system().open_input_file(f"{address.netloc}{path}")
    return pa.OSFile(path)


def as_block(column: pa.ListArray) -> npt.NDArray[np.float32]:
    """A list column of n float vectors of one length d as float32 [n, d], without a copy."""
    values: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(len(column), -1) if len(column) else values.reshape(0, 0)
