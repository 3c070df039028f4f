"""How well the product's linear classifier tells labels apart from given features, by whole sessions.

All in one process: the principal components, then linear discriminant analysis, as the steps reckon them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from fruit_spark.classifier.class_moments import ClassMoments
from fruit_spark.classifier.holdout import held_out
from fruit_spark.classifier.linear import discriminants
from fruit_spark.model.engines import Features

COMPONENTS: Final = 256
_DRAWS: Final = 10_000
_SEED: Final = 20_261_130

Bools = npt.NDArray[np.bool_]


class Photo(NamedTuple):
    label: str
    session: str
    """What was photographed together; its name is of one label alone."""


class Judged(NamedTuple):
    """Of the photos that could be judged, in their order."""

    right: Bools
    sessions: list[str]
    variance: float
    """Share that the first 256 principal components of all photos keep."""


class Difference(NamedTuple):
    """Of two sets of features for the same photos, in points of accuracy."""

    points: float
    low: float
    high: float
    gained: int
    lost: int


def judge(features: Features, photos: Sequence[Photo]) -> Judged:
    """Each photo of a label with two sessions or more is judged once, by photos of other sessions.

    The sessions that the product would hold out are judged by the others, and then the others by them; of a
    label with more than two sessions the second side learns from fewer photos than the first.
    """
    labels = sorted({photo.label for photo in photos})
    truth = np.array([labels.index(photo.label) for photo in photos], np.int64)
    chosen = held_out(Counter((photo.label, photo.session) for photo in photos))
    test = np.array([(photo.label, photo.session) in chosen for photo in photos])
    judgeable = np.isin(truth, np.unique(truth[test]))
    predicted = np.empty(len(photos), np.int64)
    predicted[test] = _answers(features[~test], truth[~test], features[test], len(labels))
    others = judgeable & ~test
    predicted[others] = _answers(features[test], truth[test], features[others], len(labels))
    return Judged(
        (predicted == truth)[judgeable],
        [photo.session for photo, its in zip(photos, judgeable, strict=True) if its],
        float(_components(features)[1]),
    )


def difference(ours: Judged, reference: Judged) -> Difference:
    """Ours less the reference's, with its 95 % interval: sessions are drawn again (bootstrap of clusters)."""
    each = ours.right.astype(np.int64) - reference.right
    names, of_photo = np.unique(ours.sessions, return_inverse=True)
    sums, counts = np.bincount(of_photo, each), np.bincount(of_photo)
    drawn = np.random.default_rng(_SEED).integers(len(names), size=(_DRAWS, len(names)))
    low, high = np.quantile(sums[drawn].sum(1) / counts[drawn].sum(1), (0.025, 0.975))
    gained, lost = int((each > 0).sum()), int((each < 0).sum())
    return Difference(100 * float(each.mean()), 100 * float(low), 100 * float(high), gained, lost)


def _answers(
    learnt: Features, truth: npt.NDArray[np.int64], asked: Features, labels: int
) -> npt.NDArray[np.int64]:
    components, _ = _components(learnt)
    known, unknown = learnt @ components, asked @ components
    moments = ClassMoments.none(known.mean(axis=0), labels)
    moments.add(known, truth)
    weights, bias = discriminants(moments)
    return np.asarray((unknown @ weights + bias).argmax(axis=1), np.int64)


def _components(features: Features) -> tuple[npt.NDArray[np.float64], np.floating[Any]]:
    """The first components, [1280, 256], and the share of the variance that they keep."""
    variances, vectors = np.linalg.eigh(np.cov(features.astype(np.float64), rowvar=False))
    return vectors[:, ::-1][:, :COMPONENTS], variances[::-1][:COMPONENTS].sum() / variances.sum()
