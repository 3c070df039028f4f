"""The model of a step's time knows start-ups, cores and the speed of a core."""

import pytest

from fruit_contract.classifier import CLASSIFIERS, NO_CLASSIFIER
from fruit_pipeline.cost import speeds
from fruit_pipeline.cost.step_times import Workers, featurize_seconds, reduce_seconds, train_seconds

RAW = speeds.RAW_IMAGES_PER_SECOND
MANY = 1_000_000


def workers(executors: int, cores: int = 2, raw: float = RAW) -> Workers:
    return Workers(executors, executors, cores, raw)


def test_two_cores_do_twice_as_much_and_more_executors_do_no_more() -> None:
    one, two, four = (featurize_seconds(workers(executors), MANY, 0) for executors in (1, 2, 4))
    assert one / two == pytest.approx(2, rel=0.01)
    # They start in turns, and that is all that they add.
    assert four - two == pytest.approx(speeds.EXECUTOR_SECONDS + speeds.PYTHON_SECONDS)


def test_all_that_a_core_does_takes_longer_where_litert_does() -> None:
    for seconds in (featurize_seconds, reduce_seconds):
        few = ((1_000, 6_000_000), (1_000,))[seconds is reduce_seconds]
        quick, slow = (seconds(workers(2, raw=raw), *few) for raw in (RAW, RAW / 3))  # type: ignore[operator]
        assert slow == pytest.approx(3 * quick)


def test_a_step_over_nothing_is_its_start() -> None:
    start = speeds.LAUNCH_SECONDS + speeds.EXECUTOR_SECONDS + speeds.PYTHON_SECONDS
    assert featurize_seconds(workers(2), 0, 0) == pytest.approx(start)
    assert reduce_seconds(workers(2), 0) == pytest.approx(start + speeds.SOLVE_SECONDS)


@pytest.mark.parametrize("classifier", sorted({*CLASSIFIERS} - {NO_CLASSIFIER}))
def test_a_classifier_takes_its_start_and_a_time_for_each_row(classifier: str) -> None:
    start, one, slow = (
        train_seconds(workers(2, raw=raw), rows, classifier)
        for raw, rows in ((RAW, 0), (RAW, MANY), (RAW / 3, 0))
    )
    assert one - start == pytest.approx(MANY / speeds.TRAINED_ROWS_PER_SECOND[classifier] / 2)
    assert slow == pytest.approx(3 * start)


def test_a_photo_is_fetched_decoded_and_written_besides() -> None:
    """More photos, of more bytes, from S3: each takes longer than the model alone."""
    start = featurize_seconds(workers(1), 0, 0)
    alone, local, large, fetched = (
        1 / RAW,
        featurize_seconds(workers(1), 1, 0, from_s3=False) - start,
        featurize_seconds(workers(1), 1, 6_000, from_s3=False) - start,
        featurize_seconds(workers(1), 1, 6_000) - start,
    )
    assert alone < local < large < fetched < 1.5 * alone
