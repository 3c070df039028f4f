"""A cut lies behind the last key that was listed, and as far ahead as names of its kind let it be known."""

import hashlib
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_pipeline.photos.keys_ahead import key_ahead, key_between

COUNT, PAGE = 20_000, 500
NAMES = {
    "counted": [f"img_{n:07}.jpg" for n in range(COUNT)],
    "counted without zeros": [f"img_{n}.jpg" for n in range(COUNT)],
    "hashes": [f"{hashlib.sha256(str(n).encode()).hexdigest()}.jpg" for n in range(COUNT)],
}
legal = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_a_cut_is_about_as_far_ahead_as_was_asked_for(names: list[str]) -> None:
    names = sorted(names)
    for start in (1_000, 3_000, 9_000):
        cut = key_ahead(names[start : start + PAGE], 10)
        assert cut is not None
        assert 3 * PAGE <= bisect_left(names, cut) - (start + PAGE) <= 20 * PAGE


def test_there_is_no_guess_beyond_the_last_number() -> None:
    assert key_ahead([f"img_{n}.jpg" for n in range(80, 90)], 10) is None


@given(st.sets(legal, min_size=1), st.integers(1, 100))
def test_a_guess_is_a_legal_key_behind_the_last(names: set[str], times: int) -> None:
    page = sorted(names)
    cut = key_ahead(page, times)
    assert cut is None or cut.encode() > page[-1].encode()


@given(st.sets(legal, min_size=2))
def test_half_way_is_a_legal_key_between(names: set[str]) -> None:
    for last, end in pairwise(sorted(names)):
        cut = key_between(last, end)
        assert cut is None or last.encode() < cut.encode() < end.encode()
    cut = key_between(max(names), None)
    assert cut is None or cut.encode() > max(names).encode()


@pytest.mark.parametrize(
    ("last", "end", "cut"),
    [
        ("a/kiwi_9.jpg", None, "a/u"),
        ("a/kiwi_9.jpg", "a/t", "a/o"),
        ("a/s_9.jpg", "a/t", "a/so"),
        ("a/s_9.jpg", "b/", "a/y"),
        ("a/\x7e", None, None),
    ],
)
def test_half_way_goes_by_letters(last: str, end: str | None, cut: str | None) -> None:
    assert key_between(last, end) == cut
