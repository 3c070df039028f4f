"""Row count, mean and scatter matrix of many feature vectors, in one pass, in blocks.

Each task multiplies its vectors in blocks with BLAS, in float64 and around a shift of its own (the
mean of its first block), for the sum of squares of vectors far from zero would cancel. Two partial
results are merged by the pairwise update of Chan, Golub and LeVeque (Stanford STAN-CS-79-773, 1979).
The partial results, 13 MB each at 1,280 dimensions, are merged on the executors in a tree, so that
the driver sees one of them, however many tasks there were.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce as fold
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fruit_spark.without_pandas import map_in_arrow

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Batches = Iterator[pa.RecordBatch]
Float64 = npt.NDArray[np.float64]

FAN_IN: Final = 8
"""Partial results merged by one task: 8 of 13 MB fit into any executor."""
_DDL: Final = "rows long, mean binary, scatter binary"
_SCHEMA: Final = pa.schema([("rows", pa.int64()), ("mean", pa.binary()), ("scatter", pa.binary())])


@dataclass(frozen=True)
class Moments:
    """Of ``rows`` vectors: their mean, float64 [d], and scatter, float64 [d, d]: the sum over the vectors of
    the outer product of their distance from the mean."""

    rows: int
    mean: Float64
    scatter: Float64

    @classmethod
    def of(cls, blocks: Iterable[npt.NDArray[np.floating[Any]]]) -> "Moments | None":
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


def moments_of(frame: "DataFrame", column: str) -> Moments | None:
    """Of the float arrays in ``column``, all of one length and none null; None where there is no row."""
    tasks = frame.sparkSession.sparkContext.defaultParallelism
    # Few, long tasks: each leaves one partial result, whatever the number of files.
    partial = map_in_arrow(frame.select(column).coalesce(tasks), _partial(column), _DDL)
    while tasks > 1:
        tasks = math.ceil(tasks / FAN_IN)
        partial = map_in_arrow(partial.repartition(tasks), _merge, _DDL)
    found = partial.collect()
    return _unpack(*found[0]) if found else None


def as_block(column: pa.ListArray) -> npt.NDArray[np.float32]:
    """A list column of n float vectors of one length d as float32 [n, d], without a copy."""
    values: npt.NDArray[np.float32] = column.flatten().to_numpy(zero_copy_only=True)
    return values.reshape(len(column), -1) if len(column) else values.reshape(0, 0)


def _partial(column: str) -> Callable[[Batches], Batches]:
    def partial(batches: Batches) -> Batches:
        moments = Moments.of(as_block(batch.column(column)) for batch in batches)
        if moments is not None:
            yield _pack(moments)

    return partial


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
