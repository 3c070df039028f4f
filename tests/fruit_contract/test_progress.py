"""Promise: how far a step is reads as people say it, and figures that cannot be are refused."""

from datetime import UTC, datetime, timedelta

import pytest

from fruit_contract.progress import Progress

STARTED = datetime(2026, 11, 29, 12, tzinfo=UTC)


def progress(done: int, of: int, reused: int = 0, seconds: float = 0) -> Progress:
    return Progress(done, of, reused, STARTED, STARTED + timedelta(seconds=seconds))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (progress(0, 87_000), "0 of 87,000 photos"),
        (progress(12_400, 87_000, seconds=88), "12,400 of 87,000 photos, 141 a second, 9 min left"),
        (progress(86_000, 87_000, seconds=610), "86,000 of 87,000 photos, 141 a second, 7 s left"),
        (progress(87_000, 87_000, seconds=617), "87,000 of 87,000 photos, 141 a second"),
        (progress(3, 12, seconds=2), "3 of 12 photos, 1.5 a second, 6 s left"),
        (progress(500, 1_000, reused=500, seconds=9), "500 of 1,000 photos"),
        (progress(600, 1_000, reused=500, seconds=10), "600 of 1,000 photos, 10 a second, 40 s left"),
    ],
    ids=str,
)
def test_it_reads_as_people_say_it(said: Progress, words: str) -> None:
    assert str(said) == words


@pytest.mark.parametrize(
    ("done", "of", "reused", "seconds"), [(2, 1, 0, 1), (-1, 1, 0, 1), (1, 2, 2, 1), (1, 2, 0, -1)]
)
def test_what_no_step_can_tell_is_refused(done: int, of: int, reused: int, seconds: float) -> None:
    with pytest.raises(ValueError, match="is not how far a step can be"):
        progress(done, of, reused, seconds)
