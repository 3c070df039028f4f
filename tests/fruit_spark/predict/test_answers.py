"""Promise: an answer says a label, a doubt or a refusal, with the numbers by which it came about."""

import json
from dataclasses import replace

import numpy as np
import pytest

from fruit_spark.predict.answers import Answer, as_json, as_text, judge, rejection
from fruit_spark.predict.classifier import Classifier

LIKELY = np.array([0.01, 0.9, 0.02, 0.03, 0.04, *[0.0] * 11])


def answer(classifier: Classifier, probabilities: list[float] | None = None, residual: float = 1.0) -> Answer:
    given = LIKELY if probabilities is None else np.array([*probabilities, *[0.0] * 13])
    thresholds = {"residual": 2.0, "probability": 0.6}
    card = {**classifier.card, "thresholds": thresholds}
    return judge("a.jpg", given, residual, card, 20.4)  # type: ignore[arg-type]


def test_a_likely_label_is_the_answer_with_the_best_five(classifier: Classifier) -> None:
    found, labels = answer(classifier), classifier.card["labels"]
    assert (found.outcome, found.label, found.probability, found.reason) == ("label", labels[1], 0.9, None)
    assert found.best == [(labels[at], LIKELY[at]) for at in (1, 4, 3, 2, 0)]
    assert as_text(found) == (
        f"a.jpg: {labels[1]}, 90.0 %; best {labels[1]} (90.0 %), {labels[4]} (4.0 %), {labels[3]} (3.0 %), "
        f"{labels[2]} (2.0 %), {labels[0]} (1.0 %); residual 1.00; 20 ms"
    )


def test_an_unlikely_label_is_a_doubt(classifier: Classifier) -> None:
    found = answer(classifier, [0.5, 0.3, 0.2])
    assert (found.outcome, found.label, found.probability) == ("not sure", None, 0.5)
    assert found.reason == f"50.0 % for {classifier.card['labels'][0]} is below 60.0 %"
    assert as_text(found).startswith(f"a.jpg: not sure: {found.reason}; best ")


def test_a_large_residual_is_no_known_fruit_however_likely_its_label(classifier: Classifier) -> None:
    found = answer(classifier, residual=2.01)
    assert (found.outcome, found.label, found.probability) == ("no fruit that I know", None, 0.9)
    assert found.reason == "residual 2.01 is above 2.00"


def test_what_is_at_a_threshold_is_an_answer(classifier: Classifier) -> None:
    assert answer(classifier, [0.6, 0.4, 0.0], 2.0).outcome == "label"


def test_a_rejected_photo_has_its_reason_and_no_numbers() -> None:
    found = rejection("a.jpg", "empty: 0 bytes", 0.3)
    assert as_text(found) == "a.jpg: rejected: empty: 0 bytes; 0 ms"
    assert (found.best, found.probability, found.residual) == ([], None, None)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Grüße 🍏.jpg", "Grüße 🍏.jpg"),
        ("two\nlines.jpg", r"two\nlines.jpg"),
        ("red \x1b[31m.jpg", r"red \x1b[31m.jpg"),
        ("clear \x9b2J.jpg", r"clear \x9b2J.jpg"),
        ("turned \u202egpj.exe", r"turned \u202egpj.exe"),
        ("new\u2028line.jpg", r"new\u2028line.jpg"),
        ("no utf-8 \udcff.jpg", r"no utf-8 \udcff.jpg"),
    ],
)
def test_text_is_one_line_that_no_terminal_obeys_whatever_the_name(
    name: str, shown: str, classifier: Classifier
) -> None:
    assert as_text(rejection(name, f"empty: {name}", 1.0)) == f"{shown}: rejected: empty: {shown}; 1 ms"
    assert as_text(replace(answer(classifier), photo=name)).startswith(f"{shown}: ")


@pytest.mark.parametrize("name", ["kiwi.jpg", "two\nlines.jpg", "no utf-8 \udcff.jpg"])
def test_json_is_one_line_whatever_the_name_of_the_photo(name: str) -> None:
    line = as_json(rejection(name, "empty", 1.0))
    assert "\n" not in line
    assert line.isascii()
    assert json.loads(line)["photo"] == name


def test_components_are_there_for_the_asking(classifier: Classifier) -> None:
    found = replace(answer(classifier), components=[1.5, -2.0])
    assert json.loads(as_json(found, components=True))["components"] == [1.5, -2.0]
    assert "components" not in json.loads(as_json(found))
