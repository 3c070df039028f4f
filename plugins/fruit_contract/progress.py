"""How far a run's featurize step is, as its driver tells it while it is at work."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Progress:
    """The JSON document at ``RunLayout.progress``, with times in ISO 8601.

    It is coarse: a photo counts when its task ends, and a task has up to 1,000 of them. The count is behind
    by what the cores have at work, and never ahead.
    """

    done: int
    """Photos with a row, valid or rejected; the reused ones are among them."""
    of: int
    reused: int
    """Photos whose rows an earlier attempt at the same work had written."""
    started: datetime
    """When the first photo could be read: Spark and the model were there."""
    now: datetime
    """When the photos done were counted."""

    def __post_init__(self) -> None:
        """``ValueError`` for figures that no step can tell."""
        if not (0 <= self.reused <= self.done <= self.of and self.started <= self.now):
            raise ValueError(f"{self} is not how far a step can be: write what was counted.")

    @property
    def a_second(self) -> float | None:
        """Photos a second, without the reused; None before the first is done.

        It reads low while the first tasks of all cores end one after the other.
        """
        seconds = (self.now - self.started).total_seconds()
        fresh = self.done - self.reused
        return fresh / seconds if fresh and seconds else None

    @property
    def seconds_left(self) -> float | None:
        """At that speed; None while it is unknown."""
        return (self.of - self.done) / self.a_second if self.a_second else None

    def __str__(self) -> str:
        """In words, such as ``12,400 of 87,000 photos, 141 a second, 9 min left``."""
        words = [f"{self.done:,} of {self.of:,} photos"]
        if self.a_second:
            words.append(f"{self.a_second:,.{0 if self.a_second >= 10 else 1}f} a second")
        if self.seconds_left:
            left = self.seconds_left
            words.append(f"{left / 60:.0f} min left" if left >= 90 else f"{left:.0f} s left")
        return ", ".join(words)
