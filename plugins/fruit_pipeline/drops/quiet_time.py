"""When a drop of photos is complete: it has been quiet for a while, or has waited long enough. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True)
class QuietTime:
    """How long to wait for the end of a drop."""

    quiet: timedelta
    """This long without an event is the end of a drop."""
    longest: timedelta
    """After this long since its first event a drop is taken as it is."""
    poll: timedelta
    """How often to look again while a run is under way, whose end Airflow does not foretell."""


@dataclass(frozen=True)
class Verdict:
    """Whether to look into the bucket now, or when to ask again; and why."""

    again_at: datetime | None
    why: str

    @property
    def is_complete(self) -> bool:
        return self.again_at is None


def judge(
    events: Sequence[datetime], began: datetime, now: datetime, limits: QuietTime, *, busy: bool
) -> Verdict:
    """Whether the drop is complete.

    ``events`` are the moments at which Airflow heard of changes, in any order; ``began`` is when this
    waiting began, which counts as the first of them where a clock is wrong, or there is none. ``busy``
    is whether a run is under way: what it is working on still counts as waiting in the bucket, and
    would be announced twice, so that the drop is looked at after its end.
    """
    latest = began + limits.longest
    if events:
        latest = min(latest, min(events) + limits.longest)
    if now >= latest:
        return Verdict(None, f"it has waited for {_words(limits.longest)}")
    quiet_at = min(max(events) + limits.quiet, latest) if events else now
    if now < quiet_at:
        return Verdict(quiet_at, f"its last event is {_words(now - max(events))} old")
    if busy:
        return Verdict(min(now + limits.poll, latest), "a run is under way")
    return Verdict(
        None, f"it has been quiet for {_words(now - max(events))}" if events else "nobody told of photos"
    )


def _words(span: timedelta) -> str:
    seconds = max(0.0, span.total_seconds())
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
