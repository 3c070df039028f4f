"""Whether two tables name the same photos, told in memory that does not grow with them.

The names go into slices by a digest, and each slice keeps the sum of its digests. Two tables have the same
sums where they have the same names, each as often, in whatever order; that two others agree by chance has
the odds of a digest, 2^-128. Where they differ, the slice says which few names to compare.
"""

import hashlib
from collections.abc import Iterable
from typing import Final

SLICES: Final = 4096
"""Of ten million names a slice has 2,400."""
_DIGEST_BYTES: Final = 16
_WRAP: Final = 1 << (8 * _DIGEST_BYTES)


def slice_and_digest(name: str) -> tuple[int, int]:
    digest = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest())
    return digest % SLICES, digest


class RowSums:
    """The sums of some names."""

    def __init__(self) -> None:
        self.rows = 0
        self._sums = [0] * SLICES

    def add(self, names: Iterable[str]) -> None:
        for name in names:
            number, digest = slice_and_digest(name)
            self._sums[number] = (self._sums[number] + digest) % _WRAP
            self.rows += 1

    def differing_slice(self, other: "RowSums") -> int | None:
        """The first slice whose names differ; None where all are the same."""
        pairs = zip(self._sums, other._sums, strict=True)
        return next((number for number, (one, another) in enumerate(pairs) if one != another), None)
