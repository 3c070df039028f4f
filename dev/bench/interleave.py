"""Repeat measurements in turn, so that a slow minute of the machine meets every side."""

import time
from collections.abc import Callable, Mapping


def seconds_of(job: Callable[[], object]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def interleaved(jobs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each job by name, ``repeats`` times: a, b, a, b, ..."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(repeats):
        for name, job in jobs.items():
            seconds[name].append(seconds_of(job))
    return seconds
