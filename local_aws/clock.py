"""Time: wall-clock instants, and simulated waits that a factor shortens.

Instants (timelines on the wire) are always real. Waits in which nothing happens but waiting
(provisioning) are simulated; a step's own work takes the time it takes. An idle limit is measured
against a client that takes real time too, so it has a factor of its own, 1 unless asked otherwise.
"""

import time
from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch."""

    def real(self, simulated_seconds: float) -> float:
        """How many real seconds a simulated wait lasts."""

    def idle(self, seconds: float) -> float:
        """How many real seconds an idle limit lasts."""


class FactorClock:
    """The system's clock; simulated waits pass ``factor`` times as fast, idle limits ``idle_factor``."""

    def __init__(self, factor: float = 1.0, idle_factor: float = 1.0) -> None:
        for value in (factor, idle_factor):
            if value <= 0:
                raise ValueError(f"The time factor is {value}: give a number above 0.")
        self._factor, self._idle_factor = factor, idle_factor

    def now(self) -> float:
        return time.time()

    def real(self, simulated_seconds: float) -> float:
        return simulated_seconds / self._factor

    def idle(self, seconds: float) -> float:
        return seconds / self._idle_factor


class ManualClock:
    """A clock that only moves when told to; simulated and real seconds are the same."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def real(self, simulated_seconds: float) -> float:
        return simulated_seconds

    def idle(self, seconds: float) -> float:
        return seconds

    def advance(self, seconds: float) -> None:
        self._now += seconds
