"""Time: wall-clock instants, and simulated waits that a factor shortens.

Instants (timelines on the wire) are always real. Waits in which nothing happens but waiting
(provisioning) are simulated; a step's own work takes the time it takes. A limit (of idleness, of the
primary's life) is measured against clients and steps that take real time too, so limits have a factor
of their own, 1 unless asked otherwise.
"""

import time

from pydantic import BaseModel, ConfigDict, Field


class Factors(BaseModel):
    """How much faster than in reality simulated waits pass, and limits run out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    time_factor: float = Field(default=1.0, gt=0)
    limit_factor: float = Field(default=1.0, gt=0)


class Clock:
    """The system's clock, with waits and limits shortened by ``factors``, which may change meanwhile."""

    def __init__(self, factors: Factors | None = None) -> None:
        self.factors = factors or Factors()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def real(self, simulated_seconds: float) -> float:
        """How many real seconds a simulated wait lasts."""
        return simulated_seconds / self.factors.time_factor

    def limit(self, seconds: float) -> float:
        """How many real seconds a limit lasts."""
        return seconds / self.factors.limit_factor


class ManualClock(Clock):
    """A clock that only moves when told to."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        super().__init__()
        self._now = now

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds
