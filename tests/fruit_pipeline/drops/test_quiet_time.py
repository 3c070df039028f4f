"""A drop is complete when it has been quiet, or has waited too long; never while a run is under way."""

from datetime import UTC, datetime, timedelta

import pytest

from fruit_pipeline.drops.quiet_time import QuietTime, judge

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PATIENCE = QuietTime(quiet=timedelta(minutes=5), longest=timedelta(hours=6), poll=timedelta(seconds=30))


def at(**after_noon: float) -> datetime:
    return NOON + timedelta(**after_noon)


def test_a_drop_that_goes_on_is_waited_for_until_it_would_be_quiet() -> None:
    verdict = judge([at(), at(minutes=3), at(minutes=1)], NOON, at(minutes=4), PATIENCE, busy=False)
    assert not verdict.is_complete
    assert verdict.again_at == at(minutes=8)
    assert verdict.why == "its last event is 60 s old"


def test_a_quiet_drop_is_complete() -> None:
    verdict = judge([at(), at(minutes=3)], NOON, at(minutes=8), PATIENCE, busy=False)
    assert verdict.is_complete
    assert verdict.why == "it has been quiet for 5 min"


def test_a_drop_that_never_falls_quiet_is_taken_six_hours_after_its_first_photo() -> None:
    minutes = [at(minutes=minute) for minute in range(0, 361)]
    before = judge(minutes[:-2], at(hours=2), at(minutes=359), PATIENCE, busy=False)
    assert before.again_at == at(hours=6)
    verdict = judge(minutes, at(hours=2), at(hours=6), PATIENCE, busy=False)
    assert verdict.is_complete
    assert verdict.why == "it has waited for 6.0 h"


def test_a_quiet_drop_waits_for_the_run_under_way() -> None:
    verdict = judge([at()], NOON, at(minutes=10), PATIENCE, busy=True)
    assert verdict.again_at == at(minutes=10, seconds=30)
    assert verdict.why == "a run is under way"


def test_but_not_longer_than_the_longest_wait() -> None:
    assert judge([at()], NOON, at(hours=5, minutes=59, seconds=50), PATIENCE, busy=True).again_at == at(
        hours=6
    )
    assert judge([at()], NOON, at(hours=6), PATIENCE, busy=True).is_complete


def test_started_by_hand_without_any_event_it_is_complete_at_once_unless_a_run_is_under_way() -> None:
    assert judge([], NOON, NOON, PATIENCE, busy=False).is_complete
    assert judge([], NOON, NOON, PATIENCE, busy=True).again_at == at(seconds=30)


@pytest.mark.parametrize("skew", [timedelta(hours=-48), timedelta(hours=48)])
def test_a_wrong_clock_delays_a_drop_by_no_more_than_the_longest_wait(skew: timedelta) -> None:
    assert judge([NOON + skew], NOON, at(hours=6), PATIENCE, busy=False).is_complete
    verdict = judge([NOON + skew], NOON, NOON, PATIENCE, busy=False)
    assert verdict.is_complete or verdict.again_at <= at(hours=6)
