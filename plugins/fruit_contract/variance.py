"""How many components there can be, and whether those kept are enough."""

from typing import Final

TOLERANCE: Final = 1e-9
"""Ratios that are rounded one by one sum to a little less than what they are shares of."""


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


def reaches(kept: float, minimum: float) -> bool:
    """Whether a share of the variance, 0 to 1, is at least the minimum.

    >>> reaches(sum([0.1] * 10), 1.0), reaches(0.8999, 0.9)
    (True, False)
    """
    return kept >= minimum - TOLERANCE
