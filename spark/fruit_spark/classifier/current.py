"""The classifier that is current: what a new one is compared with."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fruit_contract.classifier import CARD_NAME, JUDGED_LAYERS_NAME, JUDGED_NAME, LAYERS_NAME, ClassifierCard
from fruit_spark.classifier.layers import Layers, LayersError
from fruit_spark.classifier.learning import Learnt
from fruit_spark.classifier.trial import Trial
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Current:
    """As it lies in its folder."""

    card: ClassifierCard
    layers: Layers
    judged: Learnt

    def beside(self, spark: "SparkSession", trial: Trial, labels: list[str]) -> tuple[float, float] | None:
        """Accuracy of the new and of this one on those of a trial's photos whose label both know.

        None where there is none, or where this one was judged by another split: it may have learnt from them.
        """
        if self.card["split"] != trial.split:
            return None
        own = {label: number for number, label in enumerate(self.card["labels"])}
        truth = np.array([own.get(labels[number], -1) for number in trial.photos.truth], np.int64)
        both = truth >= 0
        if not both.any():
            return None
        said = self.judged.logits(spark, trial.photos.features[both]).argmax(axis=1)
        return float(trial.answers.right[both].mean()), float((said == truth[both]).mean())


def read_current(spark: "SparkSession", folder: str) -> Current:
    """``StepError`` with one sentence where something of it is missing, damaged, or of another PCA."""
    where = folder.rstrip("/")
    try:
        card: ClassifierCard = json.loads(hadoop.read_bytes(spark, f"{where}/{CARD_NAME}"))
        layers, judged = (
            Layers.read(hadoop.read_bytes(spark, f"{where}/{name}"))
            for name in (LAYERS_NAME, JUDGED_LAYERS_NAME)
        )
        fits = layers.pca == card["pca"]
        model = _forest(spark, where) if not judged.dense else None
    except (OSError, ValueError, KeyError, LayersError) as problem:
        raise StepError(f"The current classifier at {folder} cannot be read ({problem}).") from problem
    if not fits:
        raise StepError(f"The current classifier at {folder} is of another PCA than its card says.")
    return Current(card, layers, Learnt(judged, model))


def _forest(spark: "SparkSession", where: str) -> Any:
    from pyspark.ml import PipelineModel

    return PipelineModel.load(hadoop.hadoop_uri(spark, f"{where}/{JUDGED_NAME}")).stages[2]
