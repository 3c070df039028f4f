"""Promise: what is said of drift is one sentence, of one component or label as of many."""

from collections import Counter
from typing import cast

import pytest

from fruit_contract.classifier import ClassifierCard
from fruit_spark.classifier.drift import compared


def card(**shares: float) -> ClassifierCard:
    """Of drift only the shares of the known labels are read."""
    return cast(ClassifierCard, {"shares": shares})


def warnings(labels: dict[str, int], known: ClassifierCard, moved: tuple[float, ...] = ()) -> list[str]:
    return compared(sum(labels.values()), 0.0, Counter(labels), known, list(moved))["warnings"]


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ((0.0, -1.1), "The mean of component 2 has moved"),
        ((1.1, 0.0, 2.0), "The means of components 1 and 3 have moved"),
        ((-2.0,) * 8, "The means of components 1, 2, 3, 4, 5, 6, 7 and 8 have moved"),
    ],
)
def test_the_components_that_have_moved_are_named(moved: tuple[float, ...], said: str) -> None:
    [warning] = warnings({"Kiwi": 1}, card(Kiwi=1.0), moved)
    assert warning.startswith(f"{said} by more than a standard deviation: did light")


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (1, "a."),
        (2, "a and b."),
        (10, "a, b, c, d, e, f, g, h, i and j."),
        (11, "a, b, c, d, e, f, g, h, i, j and 1 more."),
        (13, "a, b, c, d, e, f, g, h, i, j and 3 more."),
    ],
)
def test_labels_that_are_not_known_are_named_or_counted(count: int, said: str) -> None:
    found = warnings(dict.fromkeys("abcdefghijklm"[:count], 1), card(Kiwi=1.0))
    assert found == [f"The current classifier does not know: {said}"]


def test_photos_without_a_label_are_called_so() -> None:
    assert warnings({"": 1}, card(Kiwi=1.0)) == ["The current classifier does not know: (no label)."]
    known = compared(2, 0.0, Counter({"": 2}), {"shares": {"": 0.5, "Kiwi": 0.5}}, [])  # type: ignore[typeddict-item]
    assert known["warnings"] == ["(no label) is 100% of the new photos, and 50% of the known ones."]
