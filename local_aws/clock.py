"""Time: wall-clock instants, and simulated waits that a factor shortens.

Instants (timelines on the wire) are always real. Only waits in which nothing happens but waiting
(provisioning, the idle timer) are simulated; a step's own work takes the time it takes.
"""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""

    def real(self, simulated_seconds: float) -> float:
        """How many real seconds a simulated wait lasts."""


class FactorClock:
    """The system's clock, on which simulated waits pass ``factor`` times as fast."""

    def __init__(self, factor: float = 1.0) -> None:
        if factor <= 0:
            raise ValueError(f"The time factor is {factor}: give a number above 0.")
        self._factor = factor

    def now(self) -> float:
        return time.time()

    def real(self, simulated_seconds: float) -> float:
        return simulated_seconds / self._factor


class ManualClock:
    """A clock that only moves when told to; simulated and real seconds are the same."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def real(self, simulated_seconds: float) -> float:
        return simulated_seconds

    def advance(self, seconds: float) -> None:
        self._now += seconds
