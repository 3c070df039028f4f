"""What a classifier made of photos that it had not learnt from: accuracy, calibration, where it errs.

All figures come from its logits and the photos' true labels, float64 [n, C] and int64 [n].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fruit_contract.classifier import Bin, Confusion, Coverage, LabelFigures, Thresholds
from fruit_spark.classifier.holdout import chance
from fruit_spark.classifier.layers import Float64, softmax

Numbers = npt.NDArray[np.int64]

_BINS: Final = 15
"""Of confidence, as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""
_SURE: Final = 0.5
"""A calibrated answer of less is likelier wrong than right."""
_LISTED: Final = 10
_TRUSTED_RESIDUALS: Final = 0.99
_TEMPERATURES: Final = (0.5, 100.0)
_PRECISION: Final = 1e-3
_GOLDEN: Final = (np.sqrt(5) - 1) / 2
_NORMAL_95: Final = 1.959964


@dataclass(frozen=True)
class Answers:
    """About n photos."""

    logits: Float64
    truth: Numbers
    units: Sequence[str]
    """Photos of one unit are not independent of each other: the session of each, [n]."""

    @cached_property
    def predicted(self) -> Numbers:
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        return np.equal(self.predicted, self.truth)

    def top(self, count: int) -> float:
        """Share of photos whose label is among the ``count`` likeliest."""
        own = self.logits[np.arange(len(self.truth)), self.truth]
        return float(((self.logits > own[:, None]).sum(axis=1) < count).mean())

    @cached_property
    def temperature(self) -> float:
        return temperature(self.logits, self.truth)

    @cached_property
    def calibrated(self) -> Float64:
        """Probabilities [n, C]; the temperature of each half of the units is that of the other half."""
        second = np.array([chance("half", unit) < 0.5 for unit in self.units], np.bool_)
        shares = np.empty_like(self.logits)
        for half in (second, ~second):
            shares[half] = softmax(self.logits[half] / temperature(self.logits[~half], self.truth[~half]))
        return shares


def temperature(logits: Float64, truth: Numbers) -> float:
    """By what the logits are divided so that the true labels are likeliest; 1 without a photo.

    The likelihood has one peak over it, so a golden-section search finds it. Where all answers are right it
    has none, and the least temperature is taken: a few photos do not make an answer surer than that.
    """
    if not len(truth):
        return 1.0
    # Around the largest: only differences count, and their powers do not overflow.
    logits = logits - logits.max(axis=1, keepdims=True)
    own = logits[np.arange(len(truth)), truth]

    def surprise(log: float) -> float:
        factor = np.exp(-log)
        return float((np.log(np.exp(logits * factor).sum(axis=1)) - own * factor).mean())

    low, high = np.log(_TEMPERATURES)
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    of_left, of_right = surprise(left), surprise(right)
    while high - low > _PRECISION:
        if of_left < of_right:
            high, right, of_right = right, left, of_left
            left = high - _GOLDEN * (high - low)
            of_left = surprise(left)
        else:
            low, left, of_left = left, right, of_right
            right = low + _GOLDEN * (high - low)
            of_right = surprise(right)
    return float(np.exp((low + high) / 2))


def interval(right: npt.NDArray[np.bool_], units: Sequence[str]) -> tuple[float, float]:
    """Of 95 % for the share of right answers, where answers about one unit are not independent.

    Wilson's interval for as many independent answers as have the variance of a ratio of two sums over units
    (Cochran, "Sampling Techniques", 3rd edition, 2.11), with the quantile of Student's t for so many units.
    With fewer than two units, nothing is known: 0 to 1.
    """
    share, photos_in_all = float(right.mean()), len(right)
    _, unit = np.unique(units, return_inverse=True)
    photos, hits = np.bincount(unit), np.bincount(unit, weights=right)
    count = len(photos)
    if count < 2:
        return 0.0, 1.0
    variance = count / (count - 1) * ((hits - share * photos) ** 2).sum() / photos_in_all**2
    # All right, or all wrong: then each unit says no more than one answer.
    size = min(share * (1 - share) / variance, photos_in_all) if variance > 0 else count
    squared = _student(count - 1) ** 2
    centre = (share + squared / (2 * size)) / (1 + squared / size)
    spread = np.sqrt(squared * (share * (1 - share) + squared / (4 * size)) / size) / (1 + squared / size)
    return max(0.0, float(centre - spread)), min(1.0, float(centre + spread))


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's t, to 2 % (Abramowitz and Stegun, 26.7.5); exact for one and two."""
    if freedom <= 2:
        return (12.7062, 4.3027)[freedom - 1]
    z = _NORMAL_95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, 1)))


def reliability(probabilities: Float64, truth: Numbers) -> list[Bin]:
    """The bins of confidence that hold photos, from low to high."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    place = np.minimum((sure * _BINS).astype(np.int64), _BINS - 1)
    return [
        Bin(confidence=float(sure[its].mean()), right=float(right[its].mean()), photos=int(its.sum()))
        for its in (place == number for number in np.unique(place))
    ]


def calibration_error(bins: list[Bin]) -> float:
    """Expected calibration error, 0 to 1."""
    photos = sum(each["photos"] for each in bins)
    return sum(abs(each["confidence"] - each["right"]) * each["photos"] for each in bins) / photos


def coverage(probabilities: Float64, truth: Numbers) -> list[Coverage]:
    """Where answers below 0, 0.05, ... 0.95 are left out."""
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    curve = []
    for least in np.arange(20) / 20:
        answered = sure >= least
        share = float(right[answered].mean()) if answered.any() else None
        curve.append(Coverage(probability=float(least), answered=float(answered.mean()), right=share))
    return curve


def thresholds(residuals: Float64) -> Thresholds:
    """When to answer "no fruit that I know", by residuals of photos held out, and when "not sure"."""
    return Thresholds(residual=float(np.quantile(residuals, _TRUSTED_RESIDUALS)), probability=_SURE)


def by_label(predicted: Numbers, truth: Numbers, labels: list[str]) -> list[LabelFigures]:
    """Of the labels that were tested, the worst first."""
    hits = np.bincount(truth[predicted == truth], minlength=len(labels))
    said, were = (np.bincount(numbers, minlength=len(labels)) for numbers in (predicted, truth))
    figures = [
        LabelFigures(
            label=labels[number],
            photos=int(were[number]),
            right=float(hits[number] / were[number]),
            f1=float(2 * hits[number] / (said[number] + were[number])),
        )
        for number in np.flatnonzero(were)
    ]
    return sorted(figures, key=lambda figure: (figure["f1"], figure["label"]))


def macro_f1(predicted: Numbers, truth: Numbers) -> float:
    """Mean F1 of the labels that were tested."""
    labels = [str(number) for number in range(int(max(predicted.max(), truth.max())) + 1)]
    return float(np.mean([figure["f1"] for figure in by_label(predicted, truth, labels)]))


def confusions(predicted: Numbers, truth: Numbers, labels: list[str]) -> list[Confusion]:
    """The ten most frequent errors."""
    wrong = predicted != truth
    pairs, photos = np.unique(np.stack([truth[wrong], predicted[wrong]]), axis=1, return_counts=True)
    worst = np.argsort(-photos, kind="stable")[:_LISTED]
    return [
        Confusion(label=labels[pairs[0, at]], predicted=labels[pairs[1, at]], photos=int(photos[at]))
        for at in worst
    ]


def coarse_accuracy(predicted: Numbers, truth: Numbers, groups: Numbers | None) -> float | None:
    """Share of photos whose answer is in the right group; ``groups`` has the group of each label, [C]."""
    return None if groups is None else float((groups[predicted] == groups[truth]).mean())


def auroc(inside: npt.NDArray[Any], outside: npt.NDArray[Any]) -> float:
    """How well a number tells two sets apart: the chance that one of ``outside`` is larger, ties by half."""
    both = np.concatenate([inside, outside])
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = ranks[len(inside) :].sum() - len(outside) * (len(outside) + 1) / 2
    return float(above / (len(inside) * len(outside)))
