"""A classifier learnt from the training share, and what it makes of the photos that were held out."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from fruit_contract.classifier import Judgement
from fruit_spark.classifier import judging
from fruit_spark.classifier.class_moments import ClassMoments, Float64, Numbers
from fruit_spark.classifier.holdout import Split
from fruit_spark.classifier.judging import Answers
from fruit_spark.classifier.layers import softmax
from fruit_spark.classifier.learning import Learnt
from fruit_spark.classifier.linear import Dense, discriminants, nearest_means
from fruit_spark.classifier.passes import Judged

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_TWINS: Final = 0.95


@dataclass(frozen=True)
class Trial:
    """Of one split."""

    split: Split
    learnt: Learnt
    train: ClassMoments
    """Of the components that were learnt from."""
    photos: Judged
    answers: Answers
    nearest: Float64
    """The largest cosine between some of the photos and one learnt from."""

    def judgement(self, groups: Numbers | None, of_features: ClassMoments | None) -> Judgement:
        """All figures; ``of_features`` are the moments of the features, to try them without PCA."""
        answers, photos = self.answers, self.photos
        before = judging.reliability(softmax(answers.logits), answers.truth)
        top1 = float(answers.right.mean())
        components = photos.features @ self.learnt.layers.components
        return Judgement(
            split=self.split.kind,
            train_photos=self.train.rows,
            test_photos=len(answers.truth),
            test_labels=len(np.unique(answers.truth)),
            top1=top1,
            interval=judging.interval(answers.right, answers.units),
            top5=answers.top(5),
            macro_f1=judging.macro_f1(answers.predicted, answers.truth),
            coarse=judging.coarse_accuracy(answers.predicted, answers.truth, groups),
            majority=float((answers.truth == self.train.counts.argmax()).mean()),
            nearest_mean=_right(nearest_means(self.train), components, answers.truth),
            pca_cost=(
                100 * (_right(discriminants(of_features), photos.features, answers.truth) - top1)
                if of_features is not None
                else None
            ),
            temperature=answers.temperature,
            ece_before=judging.calibration_error(before),
            ece_after=judging.calibration_error(judging.reliability(answers.calibrated, answers.truth)),
            leak=float((self.nearest > _TWINS).mean()) if len(self.nearest) else None,
        )

    @cached_property
    def residuals(self) -> Float64:
        return self.learnt.layers.residuals(self.photos.features)


def try_out(
    spark: "SparkSession", split: Split, learnt: Learnt, train: ClassMoments, judged: Judged, nearest: Float64
) -> Trial | None:
    """Ask for the label of each photo held out whose label was learnt; None where there is no such photo."""
    photos = judged.those(train.counts[judged.truth] > 0)
    if not len(photos.truth):
        return None
    logits = learnt.logits(spark, photos.features)
    return Trial(split, learnt, train, photos, Answers(logits, photos.truth, photos.units), nearest)


def _right(layer: Dense, vectors: npt.NDArray[np.floating[Any]], truth: Numbers) -> float:
    weights, bias = layer
    return float(((vectors @ weights + bias).argmax(axis=1) == truth).mean())
