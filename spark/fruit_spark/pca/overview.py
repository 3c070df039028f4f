"""What the page of a result shows: labels, a sample for the map, an index of near photos, rejections.

Each task counts and samples the rows that it writes anyway, so that no vector is read again.
"""

import heapq
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fruit_contract.layout import label_of
from fruit_contract.overview import (
    INDEXED_PHOTOS,
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
_INDEX: Final = pa.schema([("place", pa.uint32()), ("path", pa.string()), ("vector", pa.binary())])
_LABELS, _SAMPLE = b"labels", b"sample"
Sampled = tuple[int, str, str, list[float]]
"""Hash of the path, path, label, first components."""


@dataclass(frozen=True)
class Summary:
    """What one task has written: its labels, and its share of the sample and of the index."""

    labels: dict[str, int]
    sample: list[Sampled]
    index: pa.Table

    @classmethod
    def of(cls, content: bytes) -> "Summary":
        index = pa.ipc.open_stream(content).read_all()
        labels, sample = (json.loads(index.schema.metadata[name]) for name in (_LABELS, _SAMPLE))
        return cls(labels, list(map(tuple, sample)), index)


class RowSummary:
    """The summary of a task while it writes."""

    def __init__(self, rows: int) -> None:
        """``rows`` is the number of rows of all tasks together."""
        self._sampled, self._indexed = (
            _HASHES * min(1.0, _SPARE * most / max(1, rows)) for most in (SAMPLED_PHOTOS, INDEXED_PHOTOS)
        )
        self._labels: Counter[str] = Counter()
        self._sample: list[Sampled] = []
        self._index: list[tuple[int, str, bytes]] = []

    def add(self, paths: Sequence[str], labels: Sequence[str], components: npt.NDArray[np.float32]) -> None:
        """``components`` is float32 [n, k]."""
        self._labels.update(labels)
        short = short_vectors(components)
        for row, path in enumerate(paths):
            place = zlib.crc32(path.encode())
            if place < self._sampled:
                first = [float(f"{value:.4g}") for value in components[row, :SAMPLED_COMPONENTS]]
                self._sample.append((place, path, labels[row], first))
            if place < self._indexed:
                self._index.append((place, path, short[row].tobytes()))

    def as_bytes(self) -> bytes:
        """How it goes from the task to the driver."""
        metadata = {_LABELS: json.dumps(self._labels), _SAMPLE: json.dumps(self._sample)}
        columns = list(zip(*self._index, strict=True)) or [(), (), ()]
        arrays = [pa.array(values, kind) for values, kind in zip(columns, _INDEX.types, strict=True)]
        table = pa.Table.from_arrays(arrays, schema=_INDEX.with_metadata(metadata))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        content: bytes = sink.getvalue().to_pybytes()
        return content


def short_vectors(components: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """int8 [n, k]: each row against its own largest value. A cosine of two is off by some thousandths."""
    largest = np.abs(components).max(axis=1, keepdims=True)
    short: npt.NDArray[np.int8] = np.rint(components / np.where(largest > 0, largest, 1) * 127).astype(
        np.int8
    )
    return short


def neighbours(summaries: Sequence[Summary], root: str) -> pa.Table:
    """key, vector (int8 as bytes) of at most ``INDEXED_PHOTOS``, the same for the same photos."""
    index = pa.concat_tables(
        [each.index.replace_schema_metadata() for each in summaries] or [_INDEX.empty_table()]
    )
    kept = index.sort_by([("place", "ascending"), ("path", "ascending")]).slice(0, INDEXED_PHOTOS)
    keys = [path.removeprefix(root) for path in kept.column("path").to_pylist()]
    return pa.table({"key": pa.array(keys, pa.string()), "vector": kept.column("vector")})


def overview(summaries: Iterable[Summary], rejected: Iterable[tuple[str, str]], root: str) -> Overview:
    """The tasks' summaries as one, beside the rejected photos.

    ``rejected`` has path and reason of each. A path without ``root`` in front is a key.
    """
    processed: Counter[str] = Counter()
    sample: list[Sampled] = []
    for summary in summaries:
        processed.update(summary.labels)
        sample += summary.sample
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
