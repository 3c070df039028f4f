"""Time: wall-clock instants, and simulated waits that a factor shortens.

Instants (timelines on the wire) are always real. Waits in which nothing happens but waiting
(provisioning) are simulated; a step's own work takes the time it takes. A limit (of idleness, of the
primary's life) is measured against clients and steps that take real time too, so limits have a factor
of their own, 1 unless asked otherwise.
"""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""

    def real(self, simulated_seconds: float) -> float:
        """How many real seconds a simulated wait lasts."""

    def limit(self, seconds: float) -> float:
        """How many real seconds a limit lasts."""


class FactorClock:
    """The system's clock; simulated waits pass ``factor`` times as fast, limits ``limit_factor``."""

    def __init__(self, factor: float = 1.0, limit_factor: float = 1.0) -> None:
        for value in (factor, limit_factor):
            if value <= 0:
                raise ValueError(f"The time factor is {value}: give a number above 0.")
        self._factor, self._limit_factor = factor, limit_factor

    def now(self) -> float:
        return time.time()

    def real(self, simulated_seconds: float) -> float:
        return simulated_seconds / self._factor

    def limit(self, seconds: float) -> float:
        return seconds / self._limit_factor


class ManualClock:
    """A clock that only moves when told to; simulated and real seconds are the same."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def real(self, simulated_seconds: float) -> float:
        return simulated_seconds

    def limit(self, seconds: float) -> float:
        return seconds

    def advance(self, seconds: float) -> None:
        self._now += seconds
