"""What a page shows of a result: counts by label, a sample for the map, the rejected photos.

Each task counts and samples the rows that it writes anyway, so that no vector is read again.
"""

import heapq
import json
import zlib
from collections import Counter
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from fruit_contract.layout import label_of
from fruit_contract.overview import (
    LISTED_REJECTIONS,
    MOST_LABELS,
    MOST_REASONS,
    SAMPLED_COMPONENTS,
    SAMPLED_PHOTOS,
    LabelCounts,
    Overview,
    Rejection,
    SampledPhoto,
)

_HASHES: Final = 2**32
_SPARE: Final = 1.2
"""How many more photos the tasks take than are kept: their number is one of chance, give or take 1.5 %."""
Sampled = tuple[int, str, str, list[float]]
"""Hash of the path, path, label, first components."""


class RowSummary:
    """What one task has written: its labels, and its share of the sample."""

    def __init__(self, rows: int) -> None:
        """``rows`` is the number of rows of all tasks together."""
        self._limit = _HASHES * min(1.0, _SPARE * SAMPLED_PHOTOS / max(1, rows))
        self._labels: Counter[str] = Counter()
        self._sample: list[Sampled] = []

    def add(self, paths: list[str], labels: list[str], components: npt.NDArray[np.float32]) -> None:
        """``components`` is float32 [n, k]."""
        self._labels.update(labels)
        for row, path in enumerate(paths):
            place = zlib.crc32(path.encode())
            if place < self._limit:
                first = [float(f"{value:.4g}") for value in components[row, :SAMPLED_COMPONENTS]]
                self._sample.append((place, path, labels[row], first))

    def as_json(self) -> str:
        """How it goes from the task to the driver."""
        return json.dumps([self._labels, self._sample])


def overview(summaries: Iterable[str], rejected: Iterable[tuple[str, str]], root: str) -> Overview:
    """The tasks' summaries as one, beside the rejected photos.

    ``rejected`` has path and reason of each. A path without ``root`` in front is a key.
    """
    processed: Counter[str] = Counter()
    sample: list[Sampled] = []
    for labels, sampled in map(json.loads, summaries):
        processed.update(labels)
        sample += map(tuple, sampled)
    refused: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    listed: list[tuple[str, str]] = []
    for path, reason in rejected:
        refused[label_of(path)] += 1
        reasons[reason] += 1
        listed.append((path.removeprefix(root), reason))
        if len(listed) >= 2 * LISTED_REJECTIONS:
            listed = heapq.nsmallest(LISTED_REJECTIONS, listed)
    both = processed + refused
    return Overview(
        labels={
            label: LabelCounts(processed=processed[label], rejected=refused[label])
            for label, _ in both.most_common(MOST_LABELS)
        },
        label_count=len(both),
        sample=[
            SampledPhoto(key=path.removeprefix(root), label=label, components=first)
            for _, path, label, first in sorted(
                heapq.nsmallest(SAMPLED_PHOTOS, sample), key=lambda photo: (photo[2], photo[1])
            )
        ],
        reasons=dict(reasons.most_common(MOST_REASONS)),
        rejected=[
            Rejection(key=key, reason=reason) for key, reason in heapq.nsmallest(LISTED_REJECTIONS, listed)
        ],
    )
