"""Promise: the figures are what their definitions say, and Spark's own evaluators agree."""

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fruit_spark.classifier import judging
from fruit_spark.classifier.gate import gate_of
from fruit_spark.classifier.judging import Answers
from fruit_spark.classifier.layers import softmax

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from fruit_contract.classifier import Judgement

CHANCE = np.random.default_rng(11)
PHOTOS, LABELS = 4_000, 6
TRUTH = CHANCE.integers(0, LABELS, PHOTOS)
LOGITS = CHANCE.normal(size=(PHOTOS, LABELS)) + 1.5 * np.eye(LABELS)[TRUTH]
NAMES = [f"label {number}" for number in range(LABELS)]


def answers(logits: np.ndarray = LOGITS) -> Answers:
    return Answers(logits, TRUTH, [str(number) for number in range(PHOTOS)])


def test_spark_s_own_evaluators_find_the_same(spark: "SparkSession") -> None:
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.linalg import Vectors
    from pyspark.mllib.evaluation import MulticlassMetrics

    said = answers()
    shares = softmax(LOGITS)
    pairs = [
        (float(predicted), float(label), Vectors.dense(row))
        for predicted, label, row in zip(said.predicted, TRUTH, shares, strict=True)
    ]
    frame = spark.createDataFrame(pairs, ["prediction", "label", "probability"])
    evaluator = MulticlassClassificationEvaluator()
    assert evaluator.evaluate(frame, {evaluator.metricName: "accuracy"}) == said.right.mean()
    metrics = MulticlassMetrics(spark.sparkContext.parallelize([pair[:2] for pair in pairs], 2))
    figures = {its["label"]: its for its in judging.by_label(said.predicted, TRUTH, NAMES)}
    for number, name in enumerate(NAMES):
        assert figures[name]["f1"] == pytest.approx(metrics.fMeasure(float(number)))
        assert figures[name]["right"] == pytest.approx(metrics.recall(float(number)))
    mean = np.mean([metrics.fMeasure(float(number)) for number in range(LABELS)])
    assert judging.macro_f1(said.predicted, TRUTH) == pytest.approx(mean)
    confused = metrics.confusionMatrix().toArray()
    for confusion in judging.confusions(said.predicted, TRUTH, NAMES):
        row, column = NAMES.index(confusion["label"]), NAMES.index(confusion["predicted"])
        assert confused[row, column] == confusion["photos"]
    # Log loss has one smallest value over the temperature, and that is where it was looked for.
    best = judging.temperature(LOGITS * 7, TRUTH)
    losses = [_loss(softmax(LOGITS * 7 / (best * factor)), TRUTH) for factor in (0.97, 1.0, 1.03)]
    assert losses[1] == min(losses)
    scaled = spark.createDataFrame(
        [
            (float(label), Vectors.dense(row))
            for label, row in zip(TRUTH, softmax(LOGITS * 7 / best), strict=True)
        ],
        ["label", "probability"],
    ).withColumn("prediction", _zero())
    assert evaluator.evaluate(scaled, {evaluator.metricName: "logLoss"}) == pytest.approx(losses[1])


def _zero():  # type: ignore[no-untyped-def]
    from pyspark.sql.functions import lit

    return lit(0.0)


def _loss(shares: np.ndarray, truth: np.ndarray) -> float:
    return float(-np.log(shares[np.arange(len(truth)), truth]).mean())


def test_top_k_counts_those_among_the_likeliest() -> None:
    order = np.argsort(-LOGITS, axis=1)
    for count in (1, 3, 5):
        assert answers().top(count) == (order[:, :count] == TRUTH[:, None]).any(axis=1).mean()


def test_a_temperature_makes_overconfident_answers_as_sure_as_they_are_right() -> None:
    # Drawn so that the softmax of the logits is the truth: nothing is to be corrected.
    logits = CHANCE.normal(size=(20_000, LABELS)) * 2
    truth = (CHANCE.random(20_000)[:, None] > softmax(logits).cumsum(axis=1)).sum(axis=1)
    assert judging.temperature(logits, truth) == pytest.approx(1, abs=0.05)
    assert judging.temperature(logits * 9, truth) == pytest.approx(9, abs=0.5)
    before = judging.calibration_error(judging.reliability(softmax(logits * 9), truth))
    halves = Answers(logits * 9, truth, [str(number) for number in range(20_000)])
    after = judging.calibration_error(judging.reliability(halves.calibrated, truth))
    assert before > 0.2
    assert after < 0.02


def test_calibration_error_of_three_answers_is_what_one_reckons_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    bins = judging.reliability(shares, np.array([0, 1, 1]))
    # Two answers of 0.9, half of them right; one of 0.6, right.
    assert judging.calibration_error(bins) == pytest.approx(2 / 3 * 0.4 + 1 / 3 * 0.4)
    assert [each["photos"] for each in bins] == [1, 2]


def test_an_interval_of_independent_photos_is_the_usual_one() -> None:
    right = CHANCE.random(PHOTOS) < 0.7
    low, high = judging.interval(right, list(map(str, range(PHOTOS))))
    share = right.mean()
    assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(share * (1 - share) / PHOTOS), rel=5e-3)


@pytest.mark.parametrize("sessions", [4, 10, 40])
def test_an_interval_of_sessions_holds_the_truth_as_often_as_it_says(sessions: int) -> None:
    held, widths = 0, []
    # The mean over the clipped normal, by more draws than the intervals come from.
    truth = float(np.clip(0.7 + 0.25 * CHANCE.normal(size=1_000_000), 0, 1).mean())
    for _ in range(400):
        unit = np.repeat(np.arange(sessions), CHANCE.integers(20, 40, sessions))
        right = CHANCE.random(len(unit)) < np.clip(0.7 + 0.25 * CHANCE.normal(size=sessions), 0, 1)[unit]
        low, high = judging.interval(right, [f"session {number}" for number in unit])
        held += low <= truth <= high
        naive_low, naive_high = judging.interval(right, [str(number) for number in range(len(right))])
        widths.append((high - low) / (naive_high - naive_low))
    assert 0.9 <= held / 400 <= 0.99
    assert np.median(widths) > 1.5


def test_a_session_or_two_tell_little_of_others() -> None:
    assert judging.interval(np.array([True, False]), ["one", "one"]) == (0.0, 1.0)
    low, high = judging.interval(np.ones(60, bool), ["one"] * 30 + ["two"] * 30)
    assert low < 0.1
    assert high == 1


def test_answers_that_are_all_right_are_not_made_surer_without_end() -> None:
    assert judging.temperature(np.array([[2.0, 0.0], [0.0, 3.0]]), np.array([0, 1])) == pytest.approx(
        0.5, 0.01
    )


def test_accuracy_rises_where_doubtful_answers_are_left_out() -> None:
    curve = judging.coverage(softmax(LOGITS), TRUTH)
    assert curve[0]["answered"] == 1
    assert [step["answered"] for step in curve] == sorted((s["answered"] for s in curve), reverse=True)
    assert curve[14]["right"] > curve[0]["right"] + 0.1  # type: ignore[operator]


def test_auroc_is_the_chance_that_one_is_larger() -> None:
    inside, outside = np.array([1.0, 2.0, 2.0, 5.0]), np.array([2.0, 6.0])
    pairs = [(one < other) + (one == other) / 2 for one in inside for other in outside]
    assert judging.auroc(inside, outside) == pytest.approx(np.mean(pairs))


def judgement(top1: float, nearest_mean: float) -> "Judgement":
    return {"top1": top1, "nearest_mean": nearest_mean}  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("top1", "nearest", "on_same", "passed", "words"),
    [
        (0.7, 0.6, None, True, "right for 70.0%"),
        (0.6, 0.6, None, True, "right for 60.0%"),
        (0.59, 0.6, None, False, "for 60.0%: use classifier=linear, or give more photos of each label."),
        (0.7, 0.6, (0.7, 0.72), True, "right for 70.0%"),
        (0.7, 0.6, (0.69, 0.72), False, "the current one for 72.0%"),
        (0.7, 0.6, (0.69, 0.1), True, "right for 70.0%"),
    ],
)
def test_the_gate_keeps_the_better_one(
    top1: float, nearest: float, on_same: tuple[float, float] | None, passed: bool, words: str
) -> None:
    gate = gate_of("forest", judgement(top1, nearest), on_same)
    assert gate["passed"] is passed
    assert words in gate["reason"]
    assert gate["current_top1"] == (on_same[1] if on_same else None)


def test_the_gate_never_advises_the_kind_that_it_refuses() -> None:
    assert "60.0%: give more photos" in gate_of("linear", judgement(0.59, 0.6))["reason"]
