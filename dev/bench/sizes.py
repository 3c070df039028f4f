"""How much of everything is measured."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Sizes:
    """Numbers of photos, unless another unit is said."""

    photos: int
    """Ours, end to end; a quarter of them for the growth."""
    raw: int
    notebook: int
    notebook_task: int
    """Photos of one of its tasks: all of ``photos`` would be 20 tasks, as published notebooks have them."""
    scalar: int
    """The peers do fewer, and half of that: see ``targets.peer_images_per_second``."""
    few: int
    """What a reader begins with, unmeasured."""
    read: int
    latency: int
    rows: int
    """Feature vectors of the PCA."""
    components: int
    resume: int
    keys: int
    """Of the plan, generated."""
    repeats: int


FULL: Final = Sizes(
    photos=20_000,
    raw=4_000,
    notebook=4_000,
    notebook_task=1_000,
    scalar=400,
    few=32,
    read=400,
    latency=2_000,
    rows=87_000,
    components=256,
    resume=4_000,
    keys=1_000_000,
    repeats=3,
)
QUICK: Final = Sizes(
    photos=800,
    raw=400,
    notebook=128,
    notebook_task=32,
    scalar=48,
    few=8,
    read=64,
    latency=400,
    rows=6_000,
    components=64,
    resume=2_560,
    keys=50_000,
    repeats=1,
)
