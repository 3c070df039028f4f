"""How far new photos lie from those that the current classifier has learnt from."""

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_contract.classifier import ClassifierCard, Drift
from fruit_spark.classifier.layers import Layers
from fruit_spark.classifier.passes import Photos, part_of
from fruit_spark.features.feature_files import FEATURES, as_block, map_features
from fruit_spark.session.merging import PARTS_DDL
from fruit_spark.storage.part_files import Batches

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_COMPONENTS: Final = 8
_LABELS: Final = 10
_EXPECTED: Final = 0.05
_MANY_APART: Final = 0.15
"""Three times the share that is expected above the usual residual."""
_FAR: Final = 1.0
"""Standard deviations between two means."""
_LARGE_SHARE: Final = 0.2


def drift_of(spark: "SparkSession", new: Photos, card: ClassifierCard, layers: Layers) -> Drift | None:
    """The new photos by the current classifier's own PCA; None where there is none."""
    shared = spark.sparkContext.broadcast(layers)
    usual = card["usual_residual"]

    def count(batches: Batches) -> Batches:
        rows, above, labels = 0, 0, Counter[str]()
        total = np.zeros(_COMPONENTS)
        for batch in batches:
            block, layers = as_block(batch.column(FEATURES)), shared.value
            rows += len(block)
            above += int((layers.residuals(block) > usual).sum())
            first = layers.scaled(block)[:, :_COMPONENTS].sum(axis=0)
            total[: len(first)] += first
            labels.update(batch.column("label").to_pylist())
        yield part_of(json.dumps([rows, above, labels, total.tolist()]).encode())

    tasks = spark.sparkContext.defaultParallelism
    parts = map_features(spark, new.files, ["label", FEATURES], tasks, count, PARTS_DDL).collect()
    told = [json.loads(row["part"]) for row in parts]
    rows = sum(part[0] for part in told)
    if not rows:
        return None
    labels = sum((Counter(part[2]) for part in told), Counter[str]())
    moved = np.sum([part[3] for part in told], axis=0)[: len(layers.scale)] / rows
    return compared(rows, sum(part[1] for part in told) / rows, labels, card, moved.tolist())


def compared(
    rows: int, above: float, labels: Counter[str], card: ClassifierCard, moved: list[float]
) -> Drift:
    """The figures with their warnings."""
    shares = {
        label: (labels[label] / rows, card["shares"].get(label, 0.0)) for label in {*labels, *card["shares"]}
    }
    largest = sorted(shares, key=lambda label: (-abs(shares[label][0] - shares[label][1]), label))[:_LABELS]
    warnings = []
    if above > _MANY_APART:
        warnings.append(
            f"{above:.0%} of the new photos are unlike the known ones, where {_EXPECTED:.0%} is usual: look "
            "at some of them."
        )
    if far := [str(number + 1) for number, by in enumerate(moved) if abs(by) > _FAR]:
        of_them = (
            f"means of components {_listed(far)} have" if len(far) > 1 else f"mean of component {far[0]} has"
        )
        warnings.append(
            f"The {of_them} moved by more than a standard deviation: did light, camera or kinds of fruit "
            "change?"
        )
    if unknown := sorted(_named(label) for label in labels if label not in card["shares"]):
        more = [f"{len(unknown) - _LABELS:,} more"] if len(unknown) > _LABELS else []
        warnings.append(f"The current classifier does not know: {_listed(unknown[:_LABELS] + more)}.")
    grown = max(shares, key=lambda label: (shares[label][0] - shares[label][1], label))
    now, before = shares[grown]
    if now - before > _LARGE_SHARE and grown in card["shares"]:
        warnings.append(
            f"{_named(grown)} is {now:.0%} of the new photos, and {before:.0%} of the known ones."
        )
    return Drift(
        photos=rows,
        above_residual=above,
        labels={label: shares[label] for label in largest},
        components=moved,
        warnings=warnings,
    )


def _named(label: str) -> str:
    return label or "(no label)"


def _listed(words: list[str]) -> str:
    """As in a sentence: ``a, b and c``."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
