"""Promise: the classifier knows what it was shown, says what it was not, and is judged by other sessions.

The features have known answers: each label has a direction, each session shifts all its photos alike.
"""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.classifier import (
    CARD_NAME,
    HELD_OUT_NAME,
    JUDGED_LAYERS_NAME,
    LAYERS_NAME,
    MODEL_CARD_NAME,
    PIPELINE_NAME,
    ClassifierCard,
    TrainMetrics,
)
from fruit_spark.classifier.current import read_current
from fruit_spark.classifier.layers import Layers
from fruit_spark.classifier.sessions import sessions_by
from fruit_spark.step_errors import StepError
from fruit_spark.steps import train_job
from fruit_spark.steps.arguments import train_settings
from fruit_spark.steps.reduce_job import ReduceSettings, reduce
from fruit_spark.steps.train_job import TrainSettings, train

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DIM, COMPONENTS = 1280, 12
LABELS = ["Apple", "Cherry", "Kiwi", "Lime"]
FACTS = {
    "name": "MobileNetV2",
    "weights": "ImageNet",
    "fingerprint": "f" * 64,
    "image_size": 224,
    "engine": "litert",
    "precision": "float32",
}
_BASIS = np.random.default_rng(1).normal(size=(11, DIM))
"""Four directions are the labels', four the sessions', three those in which photos of one session differ."""


def vectors(label: int, session: int, count: int) -> npt.NDArray[np.float32]:
    """float32 [count, 1280] around the direction of a label, moved as its session is."""
    chance = np.random.default_rng([label, session])
    centre = 3 * _BASIS[label] + 0.3 * chance.normal(size=4) @ _BASIS[4:8]
    photos = (
        centre + 0.4 * chance.normal(size=(count, 3)) @ _BASIS[8:] + 0.1 * chance.normal(size=(count, DIM))
    )
    return (photos + 1).astype(np.float32)


def write(folder: Path, rows: list[tuple[str, npt.NDArray[np.float32], str | None]], files: int = 3) -> None:
    """Feature files of keys with their vectors, and when they were taken."""
    folder.mkdir(parents=True)
    for number in range(files):
        part = rows[number::files]
        columns = {
            "path": [f"s3://bucket/{key}" for key, _, _ in part],
            "label": [key.split("/")[-2] for key, _, _ in part],
            "features": pa.array([list(vector) for _, vector, _ in part], pa.list_(pa.float32())),
            "reason": pa.nulls(len(part), pa.string()),
            "taken": pa.array([taken for _, _, taken in part], pa.string()),
        }
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet")


def films(sessions: int = 3, photos: int = 12) -> list[tuple[str, Any, None]]:
    """Named as Fruits-360 does; the last label has one film."""
    rows = []
    for label, name in enumerate(LABELS):
        for session in range(sessions if name != "Lime" else 1):
            for number, vector in enumerate(vectors(label, session, photos)):
                rows.append((f"Test/{name}/r{session}_{number}_100.jpg", vector, None))
    return rows


class Bucket:
    """A folder with features, their PCA, and what the step makes of them."""

    def __init__(
        self, spark: "SparkSession", folder: Path, rows: list[Any], name: str = "run=1", scaling: str = "none"
    ) -> None:
        self.spark, self.folder = spark, folder
        write(folder / "features" / name, rows)
        reduce(spark, dataclasses.replace(self.reducing(name), scaling=scaling))

    def reducing(self, name: str) -> ReduceSettings:
        where = {key: str(self.folder / key) for key in ("output", "model_output", "metrics", "plot")}
        return ReduceSettings(
            **where,
            features=str(self.folder / "features" / name),
            components=COMPONENTS,
            min_variance=0.5,
            solver="blocks",
            time_limit=None,
        )

    def settings(self, **changes: Any) -> TrainSettings:
        arguments = ["--features", str(self.folder / "features" / "run=1"), "--root", "s3://bucket/"]
        arguments += ["--pca-model", str(self.folder / "model_output"), "--run-key", "1"]
        for name in ("output", "metrics", "confusion", "reliability"):
            arguments += [f"--{name}", str(self.folder / "trained" / name)]
        return dataclasses.replace(
            train_settings([*arguments, "--model-facts", json.dumps(FACTS)]), **changes
        )

    def train(self, **changes: Any) -> TrainMetrics:
        settings = self.settings(**changes)
        metrics = train(self.spark, settings)
        assert json.loads(Path(settings.metrics).read_text()) == json.loads(json.dumps(metrics))
        return metrics

    def card(self, folder: str = "trained/output") -> ClassifierCard:
        card: ClassifierCard = json.loads((self.folder / folder / CARD_NAME).read_text())
        return card

    def layers(self, name: str = LAYERS_NAME) -> Layers:
        return Layers.read((self.folder / "trained/output" / name).read_bytes())


@pytest.fixture(scope="module")
def bucket(spark: "SparkSession", tmp_path_factory: pytest.TempPathFactory) -> Bucket:
    return Bucket(spark, tmp_path_factory.mktemp("bucket"), films())


@pytest.fixture(scope="module")
def linear(bucket: Bucket) -> TrainMetrics:
    return bucket.train()


def test_known_labels_are_known_in_sessions_that_were_held_out(linear: TrainMetrics) -> None:
    judged, by_hash = linear["judged"], linear["by_hash"]
    assert judged is not None
    assert by_hash is not None
    assert (judged["split"], by_hash["split"]) == ("session", "hash")
    assert (judged["train_photos"], judged["test_photos"], judged["test_labels"]) == (84, 36, 3)
    assert judged["top1"] == judged["top5"] == judged["macro_f1"] == 1
    assert judged["nearest_mean"] > 0.9
    assert judged["majority"] == pytest.approx(1 / 3)
    assert judged["pca_cost"] == 0
    assert by_hash["leak"] is not None
    assert linear["gate"] is not None
    assert linear["gate"]["passed"]


def test_a_label_with_one_session_is_listed_and_learnt_all_the_same(
    linear: TrainMetrics, bucket: Bucket
) -> None:
    assert (linear["not_tested"], linear["not_tested_count"]) == (["Lime"], 1)
    answer = bucket.layers().probabilities(vectors(3, 7, 5))
    assert [bucket.card()["labels"][number] for number in answer.argmax(axis=1)] == ["Lime"] * 5


def test_what_is_no_fruit_has_a_residual_above_the_threshold(linear: TrainMetrics, bucket: Bucket) -> None:
    limits = bucket.card()["thresholds"]
    assert limits == linear["thresholds"]
    layers = bucket.layers()
    unseen = np.concatenate([vectors(label, 9, 20) for label in range(3)])
    nothing = np.random.default_rng(5).normal(size=(20, DIM)).astype(np.float32) * 2
    assert (layers.residuals(nothing) > limits["residual"]).all()
    assert (layers.residuals(unseen) < limits["residual"]).mean() > 0.9


def test_the_judged_classifier_has_learnt_from_the_training_share_alone(
    linear: TrainMetrics, bucket: Bucket
) -> None:
    """What it was judged by is not in its means: these are those of the other photos."""
    session_of, judged = sessions_by(None), bucket.layers(JUDGED_LAYERS_NAME)
    rows = films()
    held = {session_of(key, None) for key, _, _ in rows} - _sessions_in(judged, rows)
    said = json.loads((bucket.folder / "trained/output" / HELD_OUT_NAME).read_text())["sessions"]
    assert held == {session for _, session in said}
    assert sorted(label for label, _ in said) == ["Apple", "Cherry", "Kiwi"]


def _sessions_in(judged: Layers, rows: list[Any]) -> set[str]:
    """The sessions whose mean is the PCA's mean, tried in all ways to leave one of each label out."""
    import itertools

    by_session: dict[str, list[Any]] = {}
    for key, vector, _ in rows:
        by_session.setdefault(sessions_by(None)(key, None), []).append(vector)
    films_of = [[name for name in by_session if name.startswith(f"{label}/")] for label in LABELS[:3]]
    for left_out in itertools.product(*films_of):
        kept = [vector for name, its in by_session.items() if name not in left_out for vector in its]
        if np.allclose(np.mean(kept, axis=0), judged.mean, atol=1e-4):
            return set(by_session) - set(left_out)
    return set(by_session)


def _said(spark: "SparkSession", pipeline: Any, photos: npt.NDArray[np.float32]) -> list[Any]:
    """What a pipeline makes of photos, in their order."""
    from pyspark.ml.linalg import Vectors

    rows = [(number, Vectors.dense(row)) for number, row in enumerate(photos)]
    frame = spark.createDataFrame(rows, ["number", "features"])
    return sorted(pipeline.transform(frame).select("number", "label", "probability").collect())


def test_the_pipeline_read_by_spark_answers_as_the_layers_do(linear: TrainMetrics, bucket: Bucket) -> None:
    from pyspark.ml import PipelineModel

    loaded = PipelineModel.load(str(bucket.folder / "trained/output" / PIPELINE_NAME))
    photos = np.concatenate([vectors(label, 9, 4) for label in range(4)])
    said = _said(bucket.spark, loaded, photos)
    expected = bucket.layers().probabilities(photos)
    np.testing.assert_allclose([row["probability"].toArray() for row in said], expected, atol=1e-9)
    labels = bucket.card()["labels"]
    assert [row["label"] for row in said] == [labels[number] for number in expected.argmax(axis=1)]


def test_the_card_says_what_a_program_and_a_person_need(linear: TrainMetrics, bucket: Bucket) -> None:
    card = bucket.card()
    assert card["labels"] == LABELS
    assert card["model"] == FACTS
    assert card["pca"] == bucket.layers().pca == linear["pca"]
    assert (card["components"], card["trained_on"], card["split"]) == (COMPONENTS, 120, "session")
    assert card["shares"] == {"Apple": 0.3, "Cherry": 0.3, "Kiwi": 0.3, "Lime": 0.1}
    text = (bucket.folder / "trained/output" / MODEL_CARD_NAME).read_text()
    assert "Right: 100.0%" in text
    assert "could be held out: 1" in text
    for picture in ("confusion", "reliability"):
        assert (bucket.folder / "trained" / picture).read_bytes().startswith(b"\x89PNG")
    assert linear["bytes"] == sum(
        file.stat().st_size
        for file in (bucket.folder / "trained/output").rglob("*")
        if file.is_file() and not file.name.startswith(".")
    )


def test_scaled_features_are_learnt_and_judged_scaled(
    spark: "SparkSession", bucket: Bucket, tmp_path: Path
) -> None:
    """One feature is large and says nothing. Its deviation alone keeps it out of the components."""
    from pyspark.ml import PipelineModel

    chance = np.random.default_rng(5)
    noise = [np.eye(1, DIM, 7)[0] * 1000 * chance.normal() for _ in films()]
    rows = [
        (key, (vector + loud).astype(np.float32), taken)
        for (key, vector, taken), loud in zip(films(), noise, strict=True)
    ]
    scaled = Bucket(spark, tmp_path, rows, scaling="standard")
    metrics = scaled.train()
    assert metrics["judged"] is not None
    assert metrics["judged"]["top1"] > 0.9
    for name in (LAYERS_NAME, JUDGED_LAYERS_NAME):
        layers = scaled.layers(name)
        np.testing.assert_allclose(layers.directions.T @ layers.directions, np.eye(COMPONENTS), atol=1e-9)
        assert layers.spread.argmax() == 7
    photos = np.concatenate([vectors(label, 9, 2) for label in range(3)])
    loaded = PipelineModel.load(str(tmp_path / "trained/output" / PIPELINE_NAME))
    said = [row["probability"].toArray() for row in _said(spark, loaded, photos)]
    np.testing.assert_allclose(said, scaled.layers().probabilities(photos), atol=1e-9)


@pytest.mark.parametrize("kind", ["forest", "network"])
def test_the_other_kinds_learn_the_same_and_are_read_by_spark(
    bucket: Bucket, tmp_path: Path, kind: str
) -> None:
    from pyspark.ml import PipelineModel

    output = str(tmp_path / "output")
    metrics = bucket.train(classifier=kind, output=output)
    assert metrics["judged"] is not None
    assert metrics["judged"]["top1"] > 0.9
    loaded = PipelineModel.load(f"{output}/{PIPELINE_NAME}")
    photos = np.concatenate([vectors(label, 9, 2) for label in range(3)])
    said = _said(bucket.spark, loaded, photos)
    assert [row["label"] for row in said] == ["Apple"] * 2 + ["Cherry"] * 2 + ["Kiwi"] * 2
    layers = Layers.read(Path(output, LAYERS_NAME).read_bytes())
    if kind == "forest":
        assert not layers.dense
    else:
        # Spark's own probabilities are those before the temperature.
        card: ClassifierCard = json.loads(Path(output, CARD_NAME).read_text())
        own = layers.cooled(1 / card["temperature"]).probabilities(photos)
        np.testing.assert_allclose([row["probability"].toArray() for row in said], own, atol=1e-9)
    if kind == "forest":  # which alone is asked by Spark, where a new one is compared with it
        again = bucket.train(current=output, output=str(tmp_path / "again"))
        assert again["gate"] is not None
        assert again["gate"]["current_top1"] == metrics["judged"]["top1"]


def test_a_classifier_that_is_worse_than_the_current_one_does_not_pass(
    spark: "SparkSession", linear: TrainMetrics, bucket: Bucket, tmp_path: Path
) -> None:
    """The labels of the new photos are mixed up, as after a wrong upload."""
    chance = np.random.default_rng(2)
    rows = films()
    mixed = [(key, rows[chance.integers(len(rows))][1], taken) for key, _, taken in rows]
    worse = Bucket(spark, tmp_path, mixed)
    metrics = worse.train(current=str(bucket.folder / "trained/output"))
    assert metrics["gate"] is not None
    assert not metrics["gate"]["passed"]


def test_two_divisions_by_other_rules_are_not_compared(
    linear: TrainMetrics, bucket: Bucket, tmp_path: Path
) -> None:
    current, output = str(bucket.folder / "trained/output"), str(tmp_path / "output")
    for changes in ({"session_pattern": r"r\d"}, {"split": "hash"}):
        metrics = bucket.train(current=current, output=output, **changes)
        assert metrics["gate"] is not None
        assert metrics["gate"]["current_top1"] is None
    # By hash there is one figure, which is the one that was asked for.
    judged, by_hash = metrics["judged"], metrics["by_hash"]
    assert judged is not None
    assert by_hash is not None
    assert (judged["split"], judged["top1"]) == ("hash", by_hash["top1"])
    assert "Photos held out by hash" in Path(output, MODEL_CARD_NAME).read_text()


@pytest.mark.parametrize("name", [CARD_NAME, LAYERS_NAME, HELD_OUT_NAME, JUDGED_LAYERS_NAME])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}"])
def test_a_damaged_file_of_the_current_one_is_one_sentence(
    spark: "SparkSession", linear: TrainMetrics, bucket: Bucket, tmp_path: Path, name: str, content: bytes
) -> None:
    shutil.copytree(bucket.folder / "trained/output", tmp_path / "current")
    (tmp_path / "current" / name).write_bytes(content)
    with pytest.raises(StepError, match=r"The current classifier at .* cannot be read"):
        read_current(spark, str(tmp_path / "current"))


def test_files_without_a_row_that_counts_and_more_labels_than_spark_expects(
    spark: "SparkSession", tmp_path: Path
) -> None:
    """Spark refuses a forest of more than 100 labels unless it is told; an empty file has no block."""
    rows = [
        (f"Test/label {label:03d}/r{session}_{number}_100.jpg", vector, None)
        for label in range(101)
        for session in range(2)
        for number, vector in enumerate(vectors(label % 4, session * 200 + label, 2))
    ]
    many = Bucket(spark, tmp_path, rows)
    write(tmp_path / "features" / "none", [], files=1)
    (tmp_path / "features" / "none" / "part-0.parquet").rename(tmp_path / "features/run=1/part-empty.parquet")
    metrics = many.train(classifier="forest")
    assert metrics["skipped"] is None
    assert metrics["labels"] == 101


def test_a_current_one_that_cannot_be_read_is_named_and_harms_nothing(bucket: Bucket, tmp_path: Path) -> None:
    metrics = bucket.train(current=str(tmp_path / "gone"), output=str(tmp_path / "output"))
    assert metrics["gate"] is not None
    assert metrics["gate"]["passed"]
    assert metrics["gate"]["reason"].startswith(
        f"The current classifier at {tmp_path / 'gone'} cannot be read"
    )
    assert metrics["drift"] is None


def test_a_card_of_another_pca_is_refused(bucket: Bucket, linear: TrainMetrics, tmp_path: Path) -> None:
    shutil.copytree(bucket.folder / "trained/output", tmp_path / "current")
    card = bucket.card()
    (tmp_path / "current" / CARD_NAME).write_text(json.dumps({**card, "pca": "0" * 64}))
    metrics = bucket.train(current=str(tmp_path / "current"), output=str(tmp_path / "output"))
    assert metrics["gate"] is not None
    assert "is of another PCA than its card says" in metrics["gate"]["reason"]


def test_new_photos_of_other_light_and_other_fruit_are_noticed(
    spark: "SparkSession", linear: TrainMetrics, bucket: Bucket, tmp_path: Path
) -> None:
    odd = np.random.default_rng(4).normal(size=(15, DIM)).astype(np.float32) * 3
    mangos = [(f"Test/Mango/r0_{number}_100.jpg", vector, None) for number, vector in enumerate(odd)]
    more = Bucket(spark, tmp_path, [*films(), *mangos])
    metrics = more.train(source="run=1", current=str(bucket.folder / "trained/output"))
    drift = metrics["drift"]
    assert drift is not None
    assert drift["photos"] == 135
    assert drift["above_residual"] > 0.1
    assert drift["labels"]["Mango"] == (pytest.approx(15 / 135), 0.0)
    assert "The current classifier does not know: Mango." in drift["warnings"]


def test_the_same_photos_again_have_not_drifted(linear: TrainMetrics, bucket: Bucket, tmp_path: Path) -> None:
    output = str(tmp_path / "output")
    metrics = bucket.train(source="run=1", current=str(bucket.folder / "trained/output"), output=output)
    drift = metrics["drift"]
    assert drift is not None
    assert drift["above_residual"] < 0.1
    assert max(map(abs, drift["components"])) < 1e-6
    assert drift["warnings"] == []


def test_photos_of_one_hour_and_camera_stay_together(spark: "SparkSession", tmp_path: Path) -> None:
    hours = ["2026-11-28T10 Pixel 9", "2026-11-28T11 Pixel 9", "2026-11-29T10 Pixel 9"]
    rows = [
        (f"Test/{name}/IMG_{session}{number}.jpg", vector, hours[session])
        for label, name in enumerate(LABELS)
        for session in range(3)
        for number, vector in enumerate(vectors(label, session, 8))
    ]
    metrics = Bucket(spark, tmp_path, rows).train()
    assert metrics["judged"] is not None
    # One hour has a third of all photos, of all four labels.
    assert (metrics["judged"]["test_photos"], metrics["judged"]["test_labels"]) == (32, 4)


def test_photos_below_test_are_what_it_is_judged_by(spark: "SparkSession", tmp_path: Path) -> None:
    rows = [
        (f"{side}/{name}/{session}-{number}.jpg", vector, None)
        for label, name in enumerate(LABELS)
        for session, side in enumerate(("Training", "Test"))
        for number, vector in enumerate(vectors(label, session, 10))
    ]
    metrics = Bucket(spark, tmp_path, rows).train(split="folders")
    assert metrics["judged"] is not None
    assert (metrics["judged"]["train_photos"], metrics["judged"]["test_photos"]) == (40, 40)
    assert metrics["judged"]["top1"] == 1
    assert metrics["not_tested"] == []


def test_equal_photos_to_learn_from_are_no_reason_to_fail(spark: "SparkSession", tmp_path: Path) -> None:
    same = vectors(0, 0, 1)[0]
    rows = [
        (f"{side}/{name}/{number}.jpg", same if side == "Training" else vector, None)
        for label, name in enumerate(LABELS)
        for side in ("Training", "Test")
        for number, vector in enumerate(vectors(label, 1, 10))
    ]
    metrics = Bucket(spark, tmp_path, rows).train(split="folders")
    assert metrics["skipped"] is None
    assert metrics["judged"] is None
    assert metrics["by_hash"] is not None


def test_without_a_second_session_only_the_optimistic_figure_is_there(
    spark: "SparkSession", tmp_path: Path
) -> None:
    metrics = Bucket(spark, tmp_path, films(sessions=1)).train()
    assert metrics["judged"] is None
    assert metrics["by_hash"] is not None
    assert metrics["not_tested"] == LABELS
    assert metrics["gate"] is not None


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            lambda: [row for row in films() if "Apple" in row[0]],
            "needs photos of 2 labels or more, and these have 1",
        ),
        (lambda: films(photos=2)[::3], "needs 10 photos, and 7 are there: add some."),
    ],
)
def test_too_little_is_skipped_with_the_reason(
    spark: "SparkSession", tmp_path: Path, rows: Any, reason: str
) -> None:
    few = Bucket.__new__(Bucket)
    few.spark, few.folder = spark, tmp_path
    write(tmp_path / "features" / "run=1", rows())
    metrics = few.train()
    assert metrics["skipped"] is not None
    assert reason in metrics["skipped"]
    assert not (tmp_path / "trained" / "output").exists()


def test_a_wrong_pattern_is_one_sentence(bucket: Bucket) -> None:
    with pytest.raises(StepError, match="is no regular expression"):
        bucket.train(session_pattern="(")


def test_where_the_models_cannot_be_saved_there_is_no_card(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(train_job, "pipeline", full)
    with pytest.raises(OSError, match="No space left"):
        bucket.train(output=str(tmp_path / "output"), metrics=str(tmp_path / "metrics.json"))
    assert not (tmp_path / "output" / CARD_NAME).exists()
    assert not (tmp_path / "metrics.json").exists()
