"""Components to labels: the job behind ``spark/train.py``."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_contract.classifier import (
    CARD_NAME,
    HELD_OUT_NAME,
    JUDGED_LAYERS_NAME,
    JUDGED_NAME,
    LAYERS_NAME,
    MODEL_CARD_NAME,
    PIPELINE_NAME,
    ClassifierCard,
    Drift,
    SplitKind,
    TrainMetrics,
)
from fruit_contract.report_schema import ModelFacts
from fruit_contract.variance import most_components
from fruit_spark.classifier import judging
from fruit_spark.classifier.card import model_card
from fruit_spark.classifier.class_moments import ClassMoments, Numbers
from fruit_spark.classifier.current import Current, read_current
from fruit_spark.classifier.drift import drift_of
from fruit_spark.classifier.gate import gate_of
from fruit_spark.classifier.groups import groups_of
from fruit_spark.classifier.holdout import TEST_SHARE, Split, held_out
from fruit_spark.classifier.layers import fingerprint
from fruit_spark.classifier.learning import Learnt, learn
from fruit_spark.classifier.passes import (
    Census,
    Judged,
    Pca,
    Photos,
    Sums,
    census,
    compared_of,
    judged_photos,
    most_judged,
    sums,
)
from fruit_spark.classifier.plots import draw_confusion, draw_reliability
from fruit_spark.classifier.sessions import sessions_by, side_of
from fruit_spark.classifier.spark_models import pipeline
from fruit_spark.classifier.trial import Trial, try_out
from fruit_spark.features.carried_rows import list_carried, read_draft
from fruit_spark.features.feature_files import list_features
from fruit_spark.pca.moments import Moments
from fruit_spark.pca.solvers import principal_components
from fruit_spark.pca.stored_model import read_components, undivided
from fruit_spark.session.spark_session import seconds_since_launch, versions, work_done
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MOST_LABELS: Final = 2_000
"""With more, the answers about all photos to judge by would not fit into the driver."""
_FEWEST_PHOTOS: Final = 10
_LISTED: Final = 100
_WORST: Final = 10
_USUAL: Final = 0.95


@dataclass(frozen=True)
class TrainSettings:
    """What ``spark/train.py`` was asked for; every address is a local path or a URI."""

    features: str
    draft: str | None
    source: str | None
    root: str
    pca_model: str
    output: str
    metrics: str
    confusion: str
    reliability: str
    run_key: str
    model_facts: ModelFacts
    classifier: str
    split: SplitKind
    session_pattern: str | None
    current: str | None
    time_limit: int | None


@dataclass(frozen=True)
class Material:
    """All that the passes over the features have brought."""

    photos: Photos
    found: Census
    labels: list[str]
    splits: tuple[Split, Split]
    """The one that was asked for, and the one by hash."""
    pca: Pca
    judged: list[Judged]
    total: Sums

    @property
    def numbers(self) -> dict[str, int]:
        return {label: number for number, label in enumerate(self.labels)}

    @property
    def groups(self) -> Numbers | None:
        return groups_of(((label, above) for label, _, above in self.found), self.labels)


@dataclass(frozen=True)
class Trials:
    """By the split that was asked for, and by hash; None where no photo could be tested so."""

    asked: Trial | None
    by_hash: Trial | None

    @property
    def best(self) -> Trial | None:
        """By which thresholds and temperature are set, and the gate decides."""
        return self.asked or self.by_hash


def train(spark: "SparkSession", settings: TrainSettings) -> TrainMetrics:
    """Write the classifier with its card, pictures and metrics; or metrics that say why there is none."""
    startup = seconds_since_launch(spark)
    hadoop.delete(spark, settings.output)
    photos = _photos(spark, settings)
    found = census(spark, photos)
    labels = sorted({label for label, _, _ in found if label})
    found = Counter({what: count for what, count in found.items() if what[0]})
    if reason := _too_few(labels, found.total()):
        return _write_metrics(spark, settings, startup, _skipped(reason, settings.classifier, labels, found))
    material = _gather(spark, settings, photos, found, labels)
    trials = _try_out(spark, settings.classifier, material)
    if trials.best is None:
        reason = "No photo is left to test by: give more photos of each label."
        return _write_metrics(spark, settings, startup, _skipped(reason, settings.classifier, labels, found))
    learnt = learn(spark, settings.classifier, photos, material.pca, material.total.every, material.numbers)
    cooled = replace(learnt, layers=learnt.layers.cooled(trials.best.answers.temperature))
    with ThreadPoolExecutor(1) as beside:  # Spark writes for seconds, while this process reckons and draws
        saving = beside.submit(_save_models, spark, settings.output, material.labels, cooled, trials.best)
        metrics = _told(spark, settings, material, trials)
        _write_pictures(spark, settings, material.labels, trials.best, metrics)
        saving.result()
    _write_classifier(spark, settings, material, trials.best, cooled, metrics)
    metrics = {**metrics, "bytes": hadoop.bytes_below(spark, settings.output)}
    return _write_metrics(spark, settings, startup, metrics)


def _photos(spark: "SparkSession", settings: TrainSettings) -> Photos:
    session_of = sessions_by(settings.session_pattern)
    if settings.draft is None:
        return Photos(list_features(spark, [settings.features]), settings.root, session_of)
    draft = read_draft(settings.draft)
    return Photos(list_carried(spark, settings.features, draft, settings.root), settings.root, session_of)


def _too_few(labels: Sequence[str], photos: int) -> str | None:
    """Why there is nothing to learn, in one sentence."""
    if len(labels) < 2:
        return (
            f"A classifier needs photos of 2 labels or more, and these have {len(labels)}: add another one."
        )
    if len(labels) > _MOST_LABELS:
        return f"The photos have {len(labels)} labels, and a classifier takes {_MOST_LABELS} at most."
    fewest = max(_FEWEST_PHOTOS, 2 * len(labels))
    if photos < fewest:
        return (
            f"A classifier of {len(labels)} labels needs {fewest} photos, and {photos} are there: add some."
        )
    return None


def _gather(
    spark: "SparkSession", settings: TrainSettings, photos: Photos, found: Census, labels: list[str]
) -> Material:
    numbers = {label: number for number, label in enumerate(labels)}
    splits = _split(settings, photos, found), Split("hash", photos.session_of)
    pca = Pca(*read_components(spark, settings.pca_model))
    judged = judged_photos(spark, photos, [(split, _share(split, found)) for split in splits], numbers)
    total = sums(spark, photos, splits, numbers, pca, judged)
    return Material(photos, found, labels, splits, pca, judged, total)


def _split(settings: TrainSettings, photos: Photos, found: Census) -> Split:
    if settings.split != "session":
        return Split(settings.split, photos.session_of)
    by_session: Counter[tuple[str, str]] = Counter()
    for (label, session, _), count in found.items():
        by_session[label, session] += count
    return Split("session", photos.session_of, held_out(by_session))


def _share(split: Split, found: Census) -> float:
    """Of its test photos, to take: with all of them, the driver would need too much memory."""
    tests = sum(count * _tested(split, *what) for what, count in found.items())
    return min(1.0, most_judged(len({label for label, _, _ in found})) / max(1.0, tests))


def _tested(split: Split, label: str, session: str, above: str) -> float:
    """Which share of such photos is held out."""
    if split.kind == "hash":
        return TEST_SHARE
    if split.kind == "folders":
        return float(side_of(f"{above}/{label}/") == "test")
    return float((label, session) in split.held_out)


def _try_out(spark: "SparkSession", kind: str, material: Material) -> Trials:
    """Learn twice from a training share, and ask about what was held out.

    By the split that was asked for, the PCA is of the training share, too. By hash it is that of the result:
    that figure is optimistic in any case.
    """
    asked, by_hash = material.splits
    total, numbers, (for_asked, for_hash) = material.total, material.numbers, material.judged
    compared = np.split(total.nearest, [compared_of(for_asked)])
    trials: list[Trial | None] = [None, None]
    if asked.kind != "hash" and len(for_asked.truth) and _varies(total.train):
        own = _pca_of(total.train, material.pca)
        train = total.train.projected(own.components)
        learnt = learn(spark, kind, material.photos, own, train, numbers, asked)
        trials[0] = try_out(spark, asked, learnt, train, for_asked, compared[0])
    if len(for_hash.truth) and _varies(total.by_hash):
        learnt = learn(spark, kind, material.photos, material.pca, total.by_hash, numbers, by_hash)
        trials[1] = try_out(spark, by_hash, learnt, total.by_hash, for_hash, compared[1])
    return Trials(trials[1] if asked.kind == "hash" else trials[0], trials[1])


def _varies(moments: ClassMoments) -> bool:
    """Whether there is anything to learn from: equal photos have no components."""
    return moments.rows > 1 and bool(np.trace(moments.scatter) > 0)


def _pca_of(learnt_from: ClassMoments, like: Pca) -> Pca:
    """Another one, made as the result's was: of as many components, with or without scaling."""
    moments = Moments(learnt_from.rows, learnt_from.mean, learnt_from.scatter)
    spread = None if like.spread is None else moments.spread
    found = principal_components(moments.divided(spread))
    count = min(like.components.shape[1], most_components(moments.rows))
    return Pca(moments.mean, undivided(found.directions[:, :count], spread), spread)


def _told(spark: "SparkSession", settings: TrainSettings, material: Material, trials: Trials) -> TrainMetrics:
    """All that is known of the classifier before it is written."""
    best, labels, groups = trials.best, material.labels, material.groups
    assert best is not None
    of_features = material.total.train if settings.classifier == "linear" else None
    judged = trials.asked.judgement(groups, of_features) if trials.asked else None
    by_hash = trials.by_hash.judgement(groups, None) if trials.by_hash else None
    deciding = judged or by_hash
    assert deciding is not None
    calibrated, answers = best.answers.calibrated, best.answers
    not_tested = _not_tested(trials.asked, labels)
    current, unread = _current(spark, settings)
    on_same = current.beside(spark, best, labels) if current else None
    gate = gate_of(settings.classifier, deciding, on_same)
    return {
        **_skipped(None, settings.classifier, labels, material.found),
        "judged": judged,
        "by_hash": by_hash,
        "not_tested": not_tested[:_LISTED],
        "not_tested_count": len(not_tested),
        "coverage": judging.coverage(calibrated, answers.truth),
        "reliability": judging.reliability(calibrated, answers.truth),
        "worst_labels": judging.by_label(answers.predicted, answers.truth, labels)[:_WORST],
        "confusions": judging.confusions(answers.predicted, answers.truth, labels),
        "thresholds": judging.thresholds(best.residuals),
        "gate": {**gate, "reason": f"{unread} {gate['reason']}".strip()},
        "drift": _drift(spark, settings, material.photos, current),
        "pca": fingerprint(material.pca.components),
    }


def _skipped(reason: str | None, kind: str, labels: Sequence[str], found: Census) -> TrainMetrics:
    """Metrics of a classifier of which nothing else is known."""
    return TrainMetrics(
        skipped=reason,
        kind=kind,
        labels=len(labels),
        photos=found.total(),
        judged=None,
        by_hash=None,
        not_tested=[],
        not_tested_count=0,
        coverage=[],
        reliability=[],
        worst_labels=[],
        confusions=[],
        thresholds=None,
        gate=None,
        drift=None,
        pca=None,
        bytes=0,
        cores=0,
        task_seconds=0.0,
        startup_seconds=0.0,
        seconds=0.0,
        versions={},
    )


def _not_tested(trial: Trial | None, labels: Sequence[str]) -> list[str]:
    tested = set(trial.answers.truth.tolist()) if trial else set[int]()
    return [label for number, label in enumerate(labels) if number not in tested]


def _current(spark: "SparkSession", settings: TrainSettings) -> tuple[Current | None, str]:
    """The classifier to compare with; or why there is none, in a sentence or in none.

    That an old classifier is damaged is no reason to make no new one.
    """
    if settings.current is None:
        return None, ""
    try:
        return read_current(spark, settings.current), ""
    except StepError as problem:
        return None, str(problem)


def _drift(
    spark: "SparkSession", settings: TrainSettings, photos: Photos, current: Current | None
) -> Drift | None:
    if current is None or settings.source is None:
        return None
    new = replace(photos, files=photos.files.of(settings.source))
    return drift_of(spark, new, current.card, current.layers) if new.files.files else None


def _save_models(
    spark: "SparkSession", folder: str, labels: Sequence[str], learnt: Learnt, trial: Trial
) -> None:
    """As Spark ML reads them: the classifier, and the one that was judged where its layers do not say all."""

    def save(name: str, its: Learnt) -> None:
        stages = pipeline(spark, its.layers, its.spark_model(spark), labels)
        stages.write().overwrite().save(hadoop.hadoop_uri(spark, f"{folder.rstrip('/')}/{name}"))

    save(PIPELINE_NAME, learnt)
    if not trial.learnt.layers.dense:
        save(JUDGED_NAME, trial.learnt)


def _write_pictures(
    spark: "SparkSession",
    settings: TrainSettings,
    labels: Sequence[str],
    trial: Trial,
    metrics: TrainMetrics,
) -> None:
    """Of the confusions, and of the reliability."""
    answers, error = trial.answers, judging.calibration_error(metrics["reliability"])
    confusion = draw_confusion(answers.predicted, answers.truth, labels)
    hadoop.write_bytes(spark, settings.confusion, confusion)
    hadoop.write_bytes(spark, settings.reliability, draw_reliability(metrics["reliability"], error))


def _write_classifier(
    spark: "SparkSession",
    settings: TrainSettings,
    material: Material,
    trial: Trial,
    learnt: Learnt,
    metrics: TrainMetrics,
) -> None:
    """What lies beside the models, the card last."""
    limits = metrics["thresholds"]
    assert limits is not None
    counts = material.total.every.counts
    card = ClassifierCard(
        run_key=settings.run_key,
        kind=settings.classifier,
        labels=material.labels,
        model=settings.model_facts,
        components=material.pca.components.shape[1],
        pca=fingerprint(material.pca.components),
        temperature=trial.answers.temperature,
        thresholds=limits,
        trained_on=int(counts.sum()),
        split=trial.split.kind,
        session_pattern=material.photos.session_of.pattern,
        usual_residual=float(np.quantile(trial.residuals, _USUAL)),
        shares=dict(zip(material.labels, (counts / counts.sum()).tolist(), strict=True)),
    )
    where = settings.output.rstrip("/")
    hadoop.write_bytes(spark, f"{where}/{LAYERS_NAME}", learnt.layers.to_bytes())
    hadoop.write_bytes(spark, f"{where}/{JUDGED_LAYERS_NAME}", trial.learnt.layers.to_bytes())
    hadoop.write_bytes(spark, f"{where}/{MODEL_CARD_NAME}", model_card(card, metrics).encode())
    sessions = sorted(trial.split.held_out)
    hadoop.write_json(spark, f"{where}/{HELD_OUT_NAME}", {"sessions": [list(pair) for pair in sessions]})
    hadoop.write_json(spark, f"{where}/{CARD_NAME}", card)


def _write_metrics(
    spark: "SparkSession", settings: TrainSettings, startup: float, metrics: TrainMetrics
) -> TrainMetrics:
    now: TrainMetrics = {
        **metrics,
        **work_done(spark),
        "startup_seconds": round(startup, 3),
        "seconds": round(seconds_since_launch(spark), 3),
        "versions": versions(spark, "numpy", "pyarrow", "matplotlib"),
    }
    hadoop.write_json(spark, settings.metrics, now)
    return now
