"""What a classifier says of one photo: a label, a doubt, or a rejection, with the numbers behind it."""

import json
from dataclasses import asdict, dataclass, field
from typing import Final, Literal

import numpy as np

from fruit_contract.classifier import ClassifierCard
from fruit_spark.classifier.layers import Float64

BEST: Final = 5

Outcome = Literal["label", "not sure", "no fruit that I know", "rejected"]


@dataclass(frozen=True)
class Answer:
    """None stands for what a rejected photo does not have."""

    photo: str
    outcome: Outcome
    label: str | None
    """Only where the outcome is one."""
    probability: float | None
    """Of the best label, 0 to 1."""
    best: list[tuple[str, float]]
    """At most five labels with their probabilities, the best first."""
    residual: float | None
    reason: str | None
    """Why there is no label."""
    milliseconds: float
    components: list[float] = field(default_factory=list)
    """[k], to find photos of the same look by; empty for a rejected photo."""


def rejection(photo: str, reason: str, milliseconds: float) -> Answer:
    return Answer(photo, "rejected", None, None, [], None, reason, milliseconds)


def judge(
    photo: str, probabilities: Float64, residual: float, card: ClassifierCard, milliseconds: float
) -> Answer:
    """The answer to a photo of these ``probabilities`` (float64 [labels]) and this residual."""
    order = np.argsort(-probabilities, kind="stable")[:BEST]
    best = [(card["labels"][at], float(probabilities[at])) for at in order]
    label, probability = best[0]
    limits = card["thresholds"]
    outcome: Outcome = "label"
    reason = None
    if residual > limits["residual"]:
        outcome, reason = "no fruit that I know", f"residual {residual:.2f} is above {limits['residual']:.2f}"
    elif probability < limits["probability"]:
        outcome = "not sure"
        reason = f"{_percent(probability)} for {label} is below {_percent(limits['probability'])}"
    known = label if outcome == "label" else None
    return Answer(photo, outcome, known, probability, best, residual, reason, milliseconds)


def shown(text: str) -> str:
    """``text`` in one line: characters that a terminal would obey, or not print, as their escapes.

    >>> shown("two\\nlines")
    'two\\\\nlines'
    """
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def as_text(answer: Answer) -> str:
    """The answer in one line."""
    took = f"{answer.milliseconds:.0f} ms"
    if answer.probability is None:
        return shown(f"{answer.photo}: rejected: {answer.reason}; {took}")
    best = ", ".join(f"{label} ({_percent(share)})" for label, share in answer.best)
    said = (
        f"{answer.outcome}: {answer.reason}"
        if answer.reason
        else f"{answer.label}, {_percent(answer.probability)}"
    )
    return shown(f"{answer.photo}: {said}; best {best}; residual {answer.residual:.2f}; {took}")


def as_json(answer: Answer, *, components: bool = False) -> str:
    """The answer as a JSON object in one line, where asked for with its components."""
    said = asdict(answer)
    if not components:
        del said["components"]
    return json.dumps(said, allow_nan=False)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
