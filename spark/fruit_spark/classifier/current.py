"""The classifier that is current: what a new one is compared with."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fruit_contract.classifier import (
    CARD_NAME,
    HELD_OUT_NAME,
    JUDGED_LAYERS_NAME,
    JUDGED_NAME,
    LAYERS_NAME,
    ClassifierCard,
)
from fruit_spark.classifier.layers import Layers
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
    held_out: frozenset[tuple[str, str]]

    def beside(self, spark: "SparkSession", trial: Trial, labels: list[str]) -> tuple[float, float] | None:
        """Accuracy of the new and of this one on those of a trial's photos that neither has learnt from.

        Both choose among the labels that both know. None where there is no such photo, or where the photos
        were divided by another rule: then nobody knows which these are.
        """
        rule = trial.split.kind, trial.split.session_of.pattern
        if (self.card["split"], self.card["session_pattern"]) != rule:
            return None
        own = {label: number for number, label in enumerate(self.card["labels"])}
        shared = [number for number, label in enumerate(labels) if label in own]
        truth, units = trial.photos.truth, trial.photos.units
        known = np.isin(truth, shared)
        if trial.split.kind == "session":
            names = zip(truth.tolist(), units, strict=True)
            known &= np.array([(labels[number], unit) in self.held_out for number, unit in names], np.bool_)
        if not known.any():
            return None
        place = np.searchsorted(shared, truth[known])
        new = trial.answers.logits[known][:, shared]
        current = self.judged.logits(spark, trial.photos.features[known])[
            :, [own[labels[at]] for at in shared]
        ]
        of_new, of_current = (float((said.argmax(axis=1) == place).mean()) for said in (new, current))
        return of_new, of_current


def read_current(spark: "SparkSession", folder: str) -> Current:
    """``StepError`` with one sentence where something of it is missing, damaged, or of another PCA."""
    where = folder.rstrip("/")
    try:
        card: ClassifierCard = json.loads(hadoop.read_bytes(spark, f"{where}/{CARD_NAME}"))
        held_out = json.loads(hadoop.read_bytes(spark, f"{where}/{HELD_OUT_NAME}"))
        layers, judged = (
            Layers.read(hadoop.read_bytes(spark, f"{where}/{name}"))
            for name in (LAYERS_NAME, JUDGED_LAYERS_NAME)
        )
        # A program that reads a card of another version would fail later.
        fits = {name: card[name] for name in ClassifierCard.__annotations__}["pca"] == layers.pca  # type: ignore[literal-required]
        sessions = frozenset((label, session) for label, session in held_out["sessions"])
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise StepError(f"The current classifier at {folder} cannot be read ({problem}).") from problem
    if not fits:
        raise StepError(f"The current classifier at {folder} is of another PCA than its card says.")
    return Current(card, layers, Learnt(judged, None if judged.dense else _forest(spark, where)), sessions)


def _forest(spark: "SparkSession", where: str) -> Any:
    from pyspark.ml import PipelineModel

    try:
        return PipelineModel.load(hadoop.hadoop_uri(spark, f"{where}/{JUDGED_NAME}")).stages[2]
    except Exception as problem:  # whatever the JVM has against its files
        said = str(problem).splitlines()[0]
        raise StepError(f"The current classifier at {where} cannot be read ({said}).") from problem
