"""Whether a new classifier may take the place of the current one."""

from typing import Final

from fruit_contract.classifier import Gate, Judgement

_MOST_LOST: Final = 0.02
"""Of accuracy, against the current classifier on the same photos."""


def gate_of(kind: str, judgement: Judgement, on_same: tuple[float, float] | None = None) -> Gate:
    """Of a new classifier; ``on_same`` are its accuracy and the current one's on the same photos.

    None where there is no current one, or where it cannot be compared.
    """
    top1, baseline = judgement["top1"], judgement["nearest_mean"]
    new, current = on_same or (top1, None)
    if top1 < baseline:
        better = "" if kind == "linear" else "use classifier=linear, or "
        reason = (
            f"It is right for {top1:.1%} of the photos held out, and the nearest mean of a label for "
            f"{baseline:.1%}: {better}give more photos of each label."
        )
        return Gate(passed=False, reason=reason, current_top1=current)
    if current is not None and new < current - _MOST_LOST:
        reason = (
            f"It is right for {new:.1%} of the photos held out, and the current one for {current:.1%}: the "
            "current one stays. Look at what was added since."
        )
        return Gate(passed=False, reason=reason, current_top1=current)
    reason = (
        f"It is right for {top1:.1%} of the photos that it has not seen; the nearest mean for {baseline:.1%}."
    )
    return Gate(passed=True, reason=reason, current_top1=current)
