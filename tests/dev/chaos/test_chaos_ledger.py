"""The ledger of `make chaos` counts clusters left, made twice, and outliving their run."""

from datetime import UTC, datetime, timedelta

from chaos import ledger
from chaos.driver import Seen
from chaos.ledger import Life

START = datetime(2026, 1, 1, tzinfo=UTC)


def life(run: str, begins: float, ends: float | None) -> Life:
    end = None if ends is None else START + timedelta(seconds=ends)
    return Life(f"j-{run}-{begins}", run, START + timedelta(seconds=begins), end)


def test_two_clusters_of_a_run_at_the_same_time_are_a_duplicate() -> None:
    assert ledger.duplicates([life("a", 0, 10), life("a", 5, 15)]) == 1
    assert ledger.duplicates([life("a", 0, None), life("a", 5, 15)]) == 1


def test_one_after_the_other_or_of_two_runs_is_none() -> None:
    assert ledger.duplicates([life("a", 0, 10), life("a", 10, 15), life("b", 0, 15)]) == 0


def test_what_has_not_ended_is_left() -> None:
    assert ledger.left([life("a", 0, 10), life("b", 0, None)]) == 1


def test_seconds_after_the_run_are_summed() -> None:
    lives = [life("a", 0, 10), life("a", 12, 15), life("a", 0, 3)]
    assert ledger.seconds_after(lives, START + timedelta(seconds=8)) == 2 + 3
    assert ledger.seconds_after(lives, None) == 0


def test_a_scenario_is_as_expected_only_when_everything_is() -> None:
    right = Seen("s", 0, "success", False, "success", 1, 0, 0, 0.0, True, 1.0)
    assert right.as_expected
    for changes in (
        {"end": "failed"},
        {"left": 1},
        {"duplicates": 1},
        {"seconds_after": 1.1},
        {"old_result_readable": False},
        {"problem": "it hung"},
    ):
        assert not Seen(**{**vars(right), **changes}).as_expected
