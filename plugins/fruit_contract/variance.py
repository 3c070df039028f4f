"""How many components a result has: those asked for, or the fewest that keep a share of the variance."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, Literal

MOST_COMPONENTS: Final = 1280
"""A photo has as many features."""
HOW_TO_ASK: Final = (
    f"give a whole number from 1 to {MOST_COMPONENTS:,}, or a share of the variance to keep, above 0 and "
    "below 1, such as 0.95"
)
Scaling = Literal["none", "standard"]
"""``standard``: each feature is divided by its standard deviation before the PCA."""
UNSCALED: Final = "none"
STANDARD: Final = "standard"
TOLERANCE: Final = 1e-9
"""Ratios that are rounded one by one sum to a little less than what they are shares of."""


def components_asked(value: object) -> float:
    """A whole number of components, or below 1 a share of the variance; ``ValueError`` for anything else.

    >>> components_asked("64"), components_asked(64.0), components_asked("0.95")
    (64, 64, 0.95)
    """
    # A bool is a number to Python.
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = 0.0
        if 0 < number < 1:
            return number
        if 1 <= number <= MOST_COMPONENTS and number.is_integer():
            return int(number)
    raise ValueError(HOW_TO_ASK)


def is_share(asked: float) -> bool:
    """Whether a share of the variance is asked for, and not a number of components."""
    return asked < 1


def bounds(asked: float) -> tuple[int, int]:
    """The fewest and the most components that it can come to: for a share only the fit tells.

    >>> bounds(256), bounds(0.95)
    ((256, 256), (1, 1280))
    """
    return (1, MOST_COMPONENTS) if is_share(asked) else (int(asked), int(asked))


def falls_short(asked: float, minimum: float) -> bool:
    """Whether a share is asked for that is less than the least variance.

    >>> falls_short(0.5, 0.9), falls_short(0.9, 0.9), falls_short(2, 0.9)
    (True, False, False)
    """
    return is_share(asked) and asked < minimum


def most_components(images: int) -> int:
    """Of the features of ``images`` photos: around their mean, n points have n - 1 directions.

    >>> most_components(257), most_components(0)
    (256, 0)
    """
    return max(0, images - 1)


def components_kept(images: int, asked: int, fewer: bool) -> int:
    """How many components a result of ``images`` photos has; ``fewer``: where there are too few, the most.

    >>> components_kept(40, 256, fewer=True), components_kept(300, 256, fewer=True)
    (39, 256)
    """
    return min(asked, most_components(images)) if fewer else asked


def right_components(ratio: Sequence[float], asked: float, images: int, fewer: bool) -> int | None:
    """How many a result should have whose components keep ``ratio``; None where they do not keep the share.

    >>> right_components([0.5, 0.3, 0.2], 0.75, 40, fewer=False)
    2
    >>> right_components([0.5, 0.3, 0.2], 3, 40, fewer=False)
    3
    """
    if is_share(asked):
        return components_for(ratio, asked)
    return components_kept(images, int(asked), fewer)


def components_for(ratio: Iterable[float], share: float) -> int | None:
    """The smallest k whose first k ratios reach ``share``; None where all of them do not.

    >>> components_for([0.5, 0.3, 0.2], 0.75)
    2
    """
    return next((k for k, kept in enumerate(accumulate(ratio), 1) if reaches(kept, share)), None)


def reaches(kept: float, minimum: float) -> bool:
    """Whether a share of the variance, 0 to 1, is at least the minimum.

    >>> reaches(sum([0.1] * 10), 1.0), reaches(0.8999, 0.9)
    (True, False)
    """
    return kept >= minimum - TOLERANCE
