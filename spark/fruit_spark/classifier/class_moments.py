"""What linear discriminant analysis needs of many vectors with labels, summed up in blocks.

Counts, sums by label, and products around one shift that all tasks share: partial results are then added.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass
class ClassMoments:
    """Of vectors of length d with labels 0 to C - 1, all less ``shift`` [d]."""

    shift: Float64
    counts: Numbers
    """Vectors by label, int64 [C]."""
    sums: Float64
    """By label, [C, d]."""
    squares: Float64
    """The sum of the outer products of all vectors with themselves, [d, d]."""

    @classmethod
    def none(cls, shift: Float64, labels: int) -> "ClassMoments":
        """Of no vector yet."""
        size = len(shift)
        return cls(shift, np.zeros(labels, np.int64), np.zeros((labels, size)), np.zeros((size, size)))

    def add(self, block: npt.NDArray[np.floating[Any]], labels: Numbers) -> None:
        """Count in the rows of ``block`` [n, d], whose labels are ``labels`` [n]."""
        if not len(block):
            return
        values = block - self.shift
        order = np.argsort(labels, kind="stable")
        present, first = np.unique(labels[order], return_index=True)
        self.sums[present] += np.add.reduceat(values[order], first, axis=0)
        self.counts += np.bincount(labels, minlength=len(self.counts))
        self.squares += values.T @ values

    def __iadd__(self, other: "ClassMoments") -> "ClassMoments":
        self.counts += other.counts
        self.sums += other.sums
        self.squares += other.squares
        return self

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    @property
    def mean(self) -> Float64:
        """Of all vectors, [d]."""
        mean: Float64 = self.shift + self.sums.sum(axis=0) / self.rows
        return mean

    @property
    def deviation(self) -> Float64:
        """Standard deviation of each dimension over all vectors, [d]; 1 where nothing varies."""
        apart = self.mean - self.shift
        variance = np.maximum(np.diag(self.squares) / self.rows - apart**2, 0)
        deviation: Float64 = np.sqrt(variance)
        return np.where(deviation > 1e-9 * deviation.max(initial=0), deviation, 1.0)

    @property
    def scatter(self) -> Float64:
        """Sum over all vectors of the outer product of their distance from the mean, [d, d]."""
        total = self.sums.sum(axis=0)
        scatter: Float64 = self.squares - np.outer(total, total) / self.rows
        return scatter

    @property
    def label_means(self) -> Float64:
        """[C, d]; the shift for a label without a vector."""
        means: Float64 = self.shift + self.sums / np.maximum(self.counts, 1)[:, None]
        return means

    @property
    def within(self) -> Float64:
        """Covariance of the vectors around the means of their labels, [d, d]."""
        means = self.sums / np.maximum(self.counts, 1)[:, None]
        freedom = max(1, self.rows - int((self.counts > 0).sum()))
        within: Float64 = (self.squares - (means * self.counts[:, None]).T @ means) / freedom
        return within

    def projected(self, components: Float64) -> "ClassMoments":
        """Of the same vectors times ``components`` [d, k]."""
        return ClassMoments(
            self.shift @ components,
            self.counts,
            self.sums @ components,
            components.T @ self.squares @ components,
        )
