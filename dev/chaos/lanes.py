"""Scenarios side by side: each lane is a process with a running system of its own.

Most of a scenario is waiting, for Airflow to take up the next task and for limits to run out: one lane
keeps a fifth of two processors busy.
"""

import multiprocessing
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from typing import Final

from chaos.driver import Scenario, Seen
from chaos.scenarios import scenarios
from chaos.system import System
from local_run.processes import end_with_parent

LANES: Final = 2
_LOOK_SECONDS: Final = 1.0
_END_SECONDS: Final = 120.0


class LaneError(RuntimeError):
    """A lane ended before its scenarios did."""


def play(wanted: Sequence[Scenario], tell: Callable[[Seen], object]) -> list[Seen]:
    """Play the scenarios and return what was seen in their order; ``tell`` hears of each as it ends.

    Every lane plays the first scenario of the table, whose result all others must leave readable.
    ``LaneError`` if a lane's system does not come up, or dies.
    """
    first = next(scenarios()).name
    names = [scenario.name for scenario in wanted if scenario.name != first]
    lanes = max(1, min(LANES, len(names)))
    spawned = multiprocessing.get_context("spawn")
    todo: Queue[str | None] = spawned.Queue()
    done: Queue[Seen] = spawned.Queue()
    for name in [*names, *[None] * lanes]:
        todo.put(name)
    by_name: dict[str, Seen] = {}
    with _running([spawned.Process(target=_lane, args=(todo, done)) for _ in range(lanes)]) as running:
        for _ in range(lanes + len(names)):
            seen = _next(done, running)
            tell(seen)
            # The first is played in every lane, and its row is that of a lane where it went wrong.
            if seen.scenario not in by_name or not seen.as_expected:
                by_name[seen.scenario] = seen
    return [by_name[scenario.name] for scenario in wanted]


def _lane(todo: "Queue[str | None]", done: "Queue[Seen]") -> None:
    """Play what is to be done until there is a None."""
    end_with_parent()
    signal.signal(signal.SIGTERM, interrupt)
    # A terminal's Ctrl-C comes to every process: the parent passes it on, once.
    signal.signal(signal.SIGINT, lambda *_: None)
    known = {scenario.name: scenario for scenario in scenarios()}
    with System() as system:
        done.put(system.begin())
        while (name := todo.get()) is not None:
            done.put(system.play(known[name]))


def _next(done: "Queue[Seen]", running: Sequence[SpawnProcess]) -> Seen:
    while True:
        try:
            return done.get(timeout=_LOOK_SECONDS)
        except queue.Empty:
            if any(lane.exitcode for lane in running):
                raise LaneError("A lane ended before its scenarios did: see above.") from None


@contextmanager
def _running(lanes: Sequence[SpawnProcess]) -> Iterator[Sequence[SpawnProcess]]:
    """The lanes started; ended, with their systems, however the block is left."""
    for lane in lanes:
        lane.start()
    try:
        yield lanes
    except BaseException:
        for lane in lanes:
            lane.terminate()
        raise
    finally:
        for lane in lanes:
            lane.join(_END_SECONDS)


def interrupt(*_: object) -> None:
    """A signal handler: end as by Ctrl-C, so that everything that was started is ended first."""
    raise KeyboardInterrupt
