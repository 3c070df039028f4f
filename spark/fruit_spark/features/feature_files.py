"""The Parquet files of the features, read by the Python tasks themselves.

On its way through Spark's reader and its rows each of the 1,280 numbers of a vector is copied
several times in Java; that takes longer than the arithmetic of the PCA. Here Arrow reads them into
the one buffer that NumPy multiplies.
"""

import urllib.parse
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from fruit_spark.session.without_pandas import map_in_arrow
from fruit_spark.step_errors import StepError
from fruit_spark.storage.hadoop import hadoop_uri
from fruit_spark.storage.part_files import Batches, whole
from fruit_spark.storage.s3 import is_s3, s3_file_system

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FEATURES: Final = "features"
TAKEN: Final = "taken"
"""The column with the hour and the camera of a photo, by its EXIF; null where it does not say."""
_REASON: Final = "reason"
LIVE_DDL: Final = "path string, label string, features array<float>, taken string"
ROWS_PER_BLOCK: Final = 2_048
"""10 MB of float32, 21 MB of float64: enough for BLAS to be busy, little for a worker."""


Dead = Mapping[str, Sequence[str]]
"""By source, the folder of the files: paths of the rows that count no more. Compaction keeps them few."""


@dataclass(frozen=True)
class FeatureFiles:
    """The files of some features, as Spark names them, and which of their rows count no more."""

    files: tuple[str, ...]
    dead: Dead = field(default_factory=dict)

    def of(self, source: str) -> "FeatureFiles":
        """Those of one source."""
        return FeatureFiles(tuple(file for file in self.files if source_of(file) == source), self.dead)


def list_features(spark: "SparkSession", folders: Sequence[str], dead: Dead | None = None) -> FeatureFiles:
    """The feature files in some folders; ``StepError`` when one of these is not there."""
    from pyspark.errors import AnalysisException

    # Spark lists them: it knows the store, and which names are no data.
    reader = spark.read.schema(f"{FEATURES} array<float>")
    try:
        files = reader.parquet(*(hadoop_uri(spark, folder) for folder in folders)).inputFiles()
    except AnalysisException as problem:
        where = folders[0] if len(folders) == 1 else f"{folders[0]} and {len(folders) - 1} more folders"
        raise StepError(
            f"There are no features at {where}: run the featurize step first. Spark said: "
            f"{str(problem).splitlines()[0]}"
        ) from problem
    return FeatureFiles(tuple(sorted(files)), dead or {})


def source_of(file: str) -> str:
    """The source of a feature file: the name of its folder.

    >>> source_of("s3a://bucket/Results/features/run=a/part-0.parquet")
    'run=a'
    """
    return urllib.parse.unquote(file.rsplit("/", 2)[-2])


def map_features(
    spark: "SparkSession",
    features: FeatureFiles,
    columns: list[str],
    tasks: int,
    function: Callable[[Batches], Batches],
    ddl: str,
) -> "DataFrame":
    """``function`` over the rows that count and have a vector, in ``tasks`` tasks of like size.

    Each task gets the batches of ``columns`` in its share of the files; what it yields is a DataFrame
    of ``ddl``.
    """
    files = features.files
    # Once an executor, and not once a task: it is a tenth of a kilobyte a row.
    dead = spark.sparkContext.broadcast(dict(features.dead)) if features.dead else None

    def apply(numbers: Batches) -> Batches:
        for batch in numbers:
            for number in batch.column("id").to_pylist():
                yield from function(_read(files[number::tasks], columns, dead.value if dead else {}))

    # One number a partition: a task's own, by which it finds its files.
    return map_in_arrow(spark.range(0, tasks, 1, tasks), apply, ddl)


def _read(files: Iterable[str], columns: list[str], dead: Dead) -> Batches:
    import pyarrow.parquet as pq

    for file in files:
        passed_over = dead.get(source_of(file))
        with _open(file) as stream, whole(file):
            table = pq.ParquetFile(stream, page_checksum_verification=True)
            there = set(table.schema_arrow.names)
            # A rejected image has no vector. Where these are not asked for, its reason says it as well.
            said_by = FEATURES if FEATURES in columns else _REASON
            needed = {*columns, said_by, "path"} if passed_over else {*columns, said_by}
            for batch in table.iter_batches(ROWS_PER_BLOCK, columns=sorted(needed & there)):
                counts = _with_vector(batch)
                if passed_over:
                    dropped = pc.is_in(batch.column("path"), pa.array(passed_over, pa.string()))
                    counts = pc.invert(dropped) if counts is None else pc.and_not(counts, dropped)
                counted = batch if counts is None else batch.filter(counts)
                # Without a row there is no vector either, whose length a block would have.
                if counted.num_rows:
                    yield _only(counted, columns)


def _with_vector(batch: pa.RecordBatch) -> pa.BooleanArray | None:
    """Which rows have a vector; None for all of them."""
    names = batch.schema.names
    if FEATURES in names:
        vectors = batch.column(FEATURES)
        return pc.is_valid(vectors) if vectors.null_count else None
    # Compacted files have no rejected image, and no reason.
    return pc.is_null(batch.column(_REASON)) if _REASON in names else None


def _only(batch: pa.RecordBatch, columns: list[str]) -> pa.RecordBatch:
    """Those columns, in that order; ``taken`` is null in files of before it was written."""
    if TAKEN in columns and TAKEN not in batch.schema.names:
        batch = batch.append_column(TAKEN, pa.nulls(batch.num_rows, pa.string()))
    return batch.select(columns)


def live_rows(spark: "SparkSession", features: FeatureFiles, files: int) -> "DataFrame":
    """path, label, features and taken of the rows that count, in ``files`` partitions."""
    columns = ["path", "label", FEATURES, TAKEN]
    return map_features(spark, features, columns, files, lambda rows: rows, LIVE_DDL)


def _open(file: str) -> Any:
    """A Parquet file as Spark names it: a URI with its odd characters encoded."""
    address = urllib.parse.urlsplit(file)
    path = urllib.parse.unquote(address.path)
    if is_s3(file):
        return s3_file_system().open_input_file(f"{address.netloc}{path}")
    return pa.OSFile(path)


def as_block(column: pa.ListArray) -> npt.NDArray[np.float32]:
    """A list column of n float vectors of one length d as float32 [n, d], without a copy."""
    values: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(len(column), -1) if len(column) else values.reshape(0, 0)
