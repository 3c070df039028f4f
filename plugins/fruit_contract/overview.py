"""The shape of ``overview.json``, in which the reduce step leaves what a page shows of the result."""

from typing import Final, TypedDict

SAMPLED_PHOTOS: Final = 5_000
"""At most: so many points can be told apart on a map, and their keys are some 300 kB."""
SAMPLED_COMPONENTS: Final = 6
INDEXED_PHOTOS: Final = 100_000
"""Photos among which the nearest ones are looked for, at most: 26 MB at 256 components, whatever the run."""
MOST_LABELS: Final = 500
LISTED_REJECTIONS: Final = 200
MOST_REASONS: Final = 50


class LabelCounts(TypedDict):
    """Photos of a label by their number."""

    processed: int
    """Rows of the result."""
    rejected: int


class SampledPhoto(TypedDict):
    """A photo on the map."""

    key: str
    label: str
    components: list[float]
    """The first ones, ``SAMPLED_COMPONENTS`` of them or all, to four digits."""


class Rejection(TypedDict):
    """A photo without a row."""

    key: str
    reason: str


class Overview(TypedDict):
    """``overview.json``. Rows and rejected photos of earlier runs are in it, as they are in the result."""

    labels: dict[str, LabelCounts]
    """Those with the most photos, at most ``MOST_LABELS``, the largest first."""
    label_count: int
    sample: list[SampledPhoto]
    """Chosen by a hash of the address: the same photos give the same sample. Sorted by label and key."""
    reasons: dict[str, int]
    """Rejected photos by reason, at most ``MOST_REASONS``, the most frequent first."""
    rejected: list[Rejection]
    """The first ``LISTED_REJECTIONS`` by key."""
