"""Two tables have the same sums where they name the same photos, as often, in whatever order."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fruit_pipeline.results.row_sums import RowSums, slice_and_digest

NAMES = st.lists(st.text(max_size=3), max_size=12)


def sums(names: list[str]) -> RowSums:
    summed = RowSums()
    summed.add(names)
    return summed


@given(NAMES, NAMES)
def test_the_sums_differ_where_the_names_do_and_the_slice_has_one_of_them(
    one: list[str], other: list[str]
) -> None:
    number = sums(one).differing_slice(sums(other))
    differing = {name for name in {*one, *other} if one.count(name) != other.count(name)}
    assert (number is None) == (Counter(one) == Counter(other)) == (not differing)
    assert number is None or number in {slice_and_digest(name)[0] for name in differing}


@given(st.data(), NAMES)
def test_the_order_does_not_matter(data: st.DataObject, names: list[str]) -> None:
    again = sums(data.draw(st.permutations(names)))
    assert again.differing_slice(sums(names)) is None
    assert again.rows == len(names)
