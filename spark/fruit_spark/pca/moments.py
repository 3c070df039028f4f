"""Row count, mean and scatter matrix of many feature vectors, in one pass, in blocks.

Each task multiplies its vectors in blocks with BLAS, in float64 and around a shift of its own (the
mean of its first block), for the sum of squares of vectors far from zero would cancel. Two partial
results are merged by the pairwise update of Chan, Golub and LeVeque (Stanford STAN-CS-79-773, 1979).
The partial results, 13 MB each at 1,280 dimensions, are merged on the executors in a tree, so that
the driver sees one of them, however many tasks there were.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce as fold
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fruit_spark.features.feature_files import (
    FEATURES,
    ROWS_PER_BLOCK,
    FeatureFiles,
    as_block,
    map_features,
)
from fruit_spark.session.merging import merged_on_executors
from fruit_spark.storage.part_files import Batches

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Float64 = npt.NDArray[np.float64]
Block = npt.NDArray[np.floating[Any]]

_DDL: Final = "rows long, mean binary, scatter binary"
_SCHEMA: Final = pa.schema([("rows", pa.int64()), ("mean", pa.binary()), ("scatter", pa.binary())])


@dataclass(frozen=True)
class Moments:
    """Mean, float64 [d], and scatter, float64 [d, d], of ``rows`` vectors.

    The scatter is the sum over the vectors of the outer product of their distance from the mean.
    """

    rows: int
    mean: Float64
    scatter: Float64

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> "Moments | None":
        """Of all rows of the blocks (float32 or float64 [n, d], any n); None where there is no row."""
        filled = (block.astype(np.float64) for block in blocks if len(block))
        first = next(filled, None)
        if first is None:
            return None
        shift = first.mean(axis=0)
        rows, total, squares = 0, np.zeros_like(shift), np.zeros((len(shift), len(shift)))
        for block in chain([first], filled):
            values = block - shift
            rows += len(values)
            total += values.sum(axis=0)
            squares += values.T @ values
        return cls(rows, shift + total / rows, squares - np.outer(total, total) / rows)

    def merged(self, other: "Moments") -> "Moments":
        """Of the rows of both."""
        rows = self.rows + other.rows
        apart = other.mean - self.mean
        scatter = self.scatter + other.scatter + np.outer(apart, apart) * (self.rows * other.rows / rows)
        return Moments(rows, self.mean + apart * (other.rows / rows), scatter)

    @property
    def spread(self) -> Float64:
        """The standard deviation of each entry, float64 [d], by ``rows`` and not by one less.

        So does scikit-learn's ``StandardScaler``. 1 for what varies by no more than float32 rounds: divided
        by so little, rounding would be as large as the rest.
        """
        deviation = np.sqrt(np.clip(np.diag(self.scatter), 0, None) / self.rows)
        varies = deviation > np.finfo(np.float32).eps * np.abs(self.mean)
        return np.where(varies, deviation, 1.0)

    def divided(self, spread: Float64 | None) -> "Moments":
        """Of the same vectors with each entry divided by its ``spread``, float64 [d]; by nothing for None."""
        if spread is None:
            return self
        return Moments(self.rows, self.mean / spread, self.scatter / np.outer(spread, spread))


def moments_of(spark: "SparkSession", features: FeatureFiles) -> Moments | None:
    """Of the vectors in some feature files, all of one length; None where there is none."""
    tasks = spark.sparkContext.defaultParallelism
    # Few, long tasks: each leaves one partial result, whatever the number of files.
    partial = map_features(spark, features, [FEATURES], tasks, _partial, _DDL)
    found = merged_on_executors(partial, tasks, _merge, _DDL)
    return _unpack(*found[0]) if found else None


def full_blocks(blocks: Iterable[Block], rows: int) -> Iterator[Block]:
    """The same rows in blocks of at least ``rows``, but for the last: each costs a pass over the products."""
    held: list[Block] = []
    for block in blocks:
        held.append(block)
        if sum(map(len, held)) >= rows:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def _partial(batches: Batches) -> Batches:
    vectors = (as_block(batch.column(FEATURES)) for batch in batches if batch.num_rows)
    moments = Moments.of(full_blocks(vectors, ROWS_PER_BLOCK))
    if moments is not None:
        yield _pack(moments)


def _merge(batches: Batches) -> Batches:
    parts = [_unpack(*row.values()) for batch in batches for row in batch.to_pylist()]
    if parts:
        yield _pack(fold(Moments.merged, parts))


def _pack(moments: Moments) -> pa.RecordBatch:
    row = {"rows": moments.rows, "mean": moments.mean.tobytes(), "scatter": moments.scatter.tobytes()}
    return pa.RecordBatch.from_pylist([row], schema=_SCHEMA)


def _unpack(rows: int, mean: bytes, scatter: bytes) -> Moments:
    centre = np.frombuffer(mean)
    return Moments(rows, centre, np.frombuffer(scatter).reshape(len(centre), len(centre)))
