"""How slow this machine is now: limits that were set on two quiet cores follow it."""

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Final, Self

_QUIET_START_SECONDS: Final = 4.0
"""What importing Airflow's models takes on two quiet cores."""


@dataclass(frozen=True)
class Pace:
    """How many times as long as on two quiet cores the same work takes; never below 1."""

    slowness: float = 1.0

    @classmethod
    def of(cls, measured_seconds: float, quiet_seconds: float) -> Self:
        """The pace at which work of ``quiet_seconds`` took ``measured_seconds``."""
        return cls(max(1.0, measured_seconds / quiet_seconds))

    def seconds(self, quiet: float) -> float:
        """How long to wait here for what is to be waited ``quiet`` seconds for on quiet cores."""
        return quiet * self.slowness


def measure() -> Pace:
    """The pace of starting Airflow, which is most of what its short tasks do."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import airflow.models.dagrun"], check=True, capture_output=True)
    return Pace.of(time.monotonic() - began, _QUIET_START_SECONDS)
