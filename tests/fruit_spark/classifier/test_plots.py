"""Promise: whatever a label is called, the picture of the confusions is drawn."""

import random

import numpy as np
import pytest

from fruit_spark.classifier.plots import draw_confusion

PNG = b"\x89PNG\r\n\x1a\n"


def drawn(labels: list[str]) -> bytes:
    truth = np.arange(len(labels))
    return draw_confusion(truth[::-1].copy(), truth, labels)


@pytest.mark.parametrize(
    "label", [r"$\frac{a$", "$1 % $2", "pears $2_$3", "100% $", r"\$5", "{", "", "x^{", "a\nb", "🍓", "بطيخ"]
)
def test_a_label_is_no_formula(label: str) -> None:
    assert drawn([label, "Kiwi"]).startswith(PNG)


def test_no_label_keeps_a_picture_from_being_drawn() -> None:
    chance = random.Random(1)
    for _ in range(10):
        assert drawn(["".join(chance.choices("$\\{}^_%#&~ ab", k=9)) for _ in range(5)]).startswith(PNG)
