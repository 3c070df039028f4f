"""The passes over the features by which a classifier is learnt and judged: each task's part is small.

The first counts photos by label and session. The second takes the photos to judge by. The third sums up what
linear discriminant analysis needs, and finds how near to the photos to judge by those to learn from are.
"""

import json
import pickle
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fruit_spark.classifier.class_moments import ClassMoments, Float64, Numbers
from fruit_spark.classifier.holdout import Role, Split, chance
from fruit_spark.classifier.sessions import SessionOf
from fruit_spark.features.feature_files import FEATURES, TAKEN, FeatureFiles, as_block, map_features
from fruit_spark.model.engines import FEATURE_DIM
from fruit_spark.session.merging import PARTS_DDL, merged_on_executors
from fruit_spark.storage.part_files import Batches

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MOST_JUDGED: Final = 10_000
"""Photos that a split is judged by, at most: their vectors come to the driver, 51 MB. An accuracy of 0.7 is
then known to 0.9 points, as far as photos are independent."""
_MOST_LOGITS: Final = 2_000_000
"""Of those photos for all labels: 16 MB each time that the driver reckons with them."""
_COMPARED: Final = 1_000
"""Photos to judge by whose nearest photo to learn from is looked for."""
_NAMES: Final = ["path", "label", TAKEN]
COLUMNS: Final = [*_NAMES, FEATURES]
_PARTS: Final = pa.schema([("part", pa.binary())])
_SAMPLE_DDL: Final = "path string, label string, taken string, vector binary"

Census = Counter[tuple[str, str, str]]
"""Number of photos by label, session and folder above the label's."""


class Pca(NamedTuple):
    """That of the result."""

    mean: Float64
    """Of the features, [d]."""
    components: Float64
    """Features times it are components, [d, k]."""
    spread: Float64 | None
    """What each feature was divided by before the PCA, [d]; None for nothing."""


@dataclass(frozen=True)
class Photos:
    """What the passes read: the rows that count, their keys, and what is learnt of them."""

    files: FeatureFiles
    root: str
    """What stands before a key in a path."""
    session_of: SessionOf

    def keys(self, batch: pa.RecordBatch) -> list[str]:
        return [path.removeprefix(self.root) for path in batch.column("path").to_pylist()]


@dataclass(frozen=True)
class Judged:
    """The photos that a split is judged by."""

    features: npt.NDArray[np.float32]
    truth: Numbers
    """The number of the label of each, int64 [n]."""
    units: list[str]
    """The session of each; of a split by hash, the photo's own key."""

    def those(self, which: npt.NDArray[np.bool_]) -> "Judged":
        units = [unit for unit, its in zip(self.units, which, strict=True) if its]
        return Judged(self.features[which], self.truth[which], units)


@dataclass
class Sums:
    """What one task, or all of them, has added up."""

    train: ClassMoments
    """Of the features to learn from while judging, by the split that was asked for."""
    by_hash: ClassMoments
    """Of the components to learn from while judging by hash."""
    every: ClassMoments
    """Of the components of all photos."""
    nearest: Float64
    """For each photo of the two samples, one after the other: the largest cosine of one to learn from."""

    @classmethod
    def none(cls, pca: Pca, labels: int, compared: int) -> "Sums":
        shift = pca.mean @ pca.components
        train, by_hash, every = (ClassMoments.none(at, labels) for at in (pca.mean, shift, shift))
        return cls(train, by_hash, every, np.full(compared, -1.0))

    def to_bytes(self) -> bytes:
        return pickle.dumps(self)

    @staticmethod
    def of(content: bytes) -> "Sums":
        sums: Sums = pickle.loads(content)
        return sums

    def __iadd__(self, other: "Sums") -> "Sums":
        self.train += other.train
        self.by_hash += other.by_hash
        self.every += other.every
        np.maximum(self.nearest, other.nearest, out=self.nearest)
        return self


def census(spark: "SparkSession", photos: Photos) -> Census:
    """How many photos there are of what."""

    def count(batches: Batches) -> Batches:
        found: Census = Counter()
        for batch in batches:
            labels, taken = (batch.column(name).to_pylist() for name in ("label", TAKEN))
            for key, label, its in zip(photos.keys(batch), labels, taken, strict=True):
                above = key.rpartition("/")[0].rpartition("/")[0]
                found[label, photos.session_of(key, its), above] += 1
        yield part_of(json.dumps([[*what, number] for what, number in found.items()]).encode())

    tasks = spark.sparkContext.defaultParallelism
    total: Census = Counter()
    for row in map_features(spark, photos.files, _NAMES, tasks, count, PARTS_DDL).collect():
        for label, session, above, number in json.loads(row["part"]):
            total[label, session, above] += number
    return total


def judged_photos(
    spark: "SparkSession", photos: Photos, splits: Sequence[tuple[Split, float]], numbers: Mapping[str, int]
) -> list[Judged]:
    """The photos that each of some splits is judged by.

    A split comes with the share of its test photos to take, 0 to 1; which ones, is by a hash of their keys.
    ``numbers`` has the number of each label that is learnt.
    """

    def wanted(split: Split, share: float, key: str, label: str, taken: str | None) -> bool:
        return _place(key) < share and split.role(key, label, taken) is Role.TEST

    def take(batches: Batches) -> Batches:
        for batch in batches:
            rows = list(
                zip(photos.keys(batch), *(batch.column(name).to_pylist() for name in _NAMES[1:]), strict=True)
            )
            kept = [
                place
                for place, row in enumerate(rows)
                if row[1] in numbers and any(wanted(split, share, *row) for split, share in splits)
            ]
            block = as_block(batch.column(FEATURES))[kept]
            yield pa.RecordBatch.from_arrays(
                [
                    *(pa.array([rows[place][at] for place in kept], pa.string()) for at in range(3)),
                    pa.array([vector.tobytes() for vector in block], pa.binary()),
                ],
                names=["path", "label", "taken", "vector"],
            )

    tasks = spark.sparkContext.defaultParallelism
    rows = map_features(spark, photos.files, COLUMNS, tasks, take, _SAMPLE_DDL).collect()
    # By chance, but always the same: the first ones are a fair sample, too.
    rows.sort(key=lambda row: (_place(row["path"]), row["path"]))
    judged = []
    for split, share in splits:
        its = [row for row in rows if wanted(split, share, row["path"], row["label"], row["taken"])]
        judged.append(
            Judged(
                np.frombuffer(b"".join(row["vector"] for row in its), np.float32).reshape(-1, FEATURE_DIM),
                np.array([numbers[row["label"]] for row in its], np.int64),
                [split.unit_of(row["path"], row["taken"]) for row in its],
            )
        )
    return judged


def sums(
    spark: "SparkSession",
    photos: Photos,
    splits: Sequence[Split],
    numbers: Mapping[str, int],
    pca: Pca,
    judged: Sequence[Judged],
) -> Sums:
    """Everything that is learnt, in one pass: ``splits`` are the one asked for and the one by hash."""
    context = spark.sparkContext
    first = (each.features[: compared_of(each)] @ pca.components for each in judged)
    shared = context.broadcast((pca, [_directions(vectors) for vectors in first]))

    def add(batches: Batches) -> Batches:
        pca, samples = shared.value
        total = Sums.none(pca, len(numbers), sum(map(len, samples)))
        # Views of the one array, a split each.
        nearest = np.split(total.nearest, [len(samples[0])])
        for batch in batches:
            known, roles = rows_of(photos, batch, splits, numbers)
            block = as_block(batch.column(FEATURES))[known >= 0].astype(np.float64)
            of_labels, projected = known[known >= 0], block @ pca.components
            learnt_from = roles[:, known >= 0] == Role.TRAIN
            total.every.add(projected, of_labels)
            total.train.add(block[learnt_from[0]], of_labels[learnt_from[0]])
            total.by_hash.add(projected[learnt_from[1]], of_labels[learnt_from[1]])
            for near, sample, its in zip(nearest, samples, learnt_from, strict=True):
                if len(sample) and its.any():
                    np.maximum(near, (_directions(projected[its]) @ sample.T).max(axis=0), out=near)
        yield part_of(total.to_bytes())

    tasks = context.defaultParallelism
    parts = map_features(spark, photos.files, COLUMNS, tasks, add, PARTS_DDL)
    (row,) = merged_on_executors(parts, tasks, _merge, PARTS_DDL)
    return Sums.of(row["part"])


def most_judged(labels: int) -> int:
    """How many photos a split of so many labels is judged by, at most."""
    return min(_MOST_JUDGED, _MOST_LOGITS // labels)


def compared_of(judged: Judged) -> int:
    """How many of the photos, the first ones, are compared with those to learn from."""
    return min(_COMPARED, len(judged.truth))


def _place(key: str) -> float:
    return chance("sample", key)


def rows_of(
    photos: Photos, batch: pa.RecordBatch, splits: Sequence[Split], numbers: Mapping[str, int]
) -> tuple[Numbers, npt.NDArray[np.int8]]:
    """The number of each row's label, -1 for one that is not learnt; and its role in each split, [s, n]."""
    labels, taken = (batch.column(name).to_pylist() for name in _NAMES[1:])
    names = list(zip(photos.keys(batch), labels, taken, strict=True))
    roles = [[split.role(*name) for name in names] for split in splits]
    known = [numbers.get(label, -1) for label in labels]
    return np.array(known, np.int64), np.array(roles, np.int8).reshape(len(splits), len(names))


def _directions(vectors: npt.NDArray[np.floating[Any]]) -> Float64:
    """Each row [n, k] at length 1, so that a product of two is their cosine."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Float64 = vectors / np.where(lengths > 0, lengths, 1)
    return directions


def _merge(batches: Batches) -> Batches:
    parts = (Sums.of(part) for batch in batches for part in batch.column("part").to_pylist())
    total = next(parts, None)
    if total is None:
        return
    for part in parts:
        total += part
    yield part_of(total.to_bytes())


def part_of(content: bytes) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"part": [content]}, schema=_PARTS)
