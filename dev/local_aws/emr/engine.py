"""Moves time on: one thread that makes the moves that are due and performs what they ask for."""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from local_aws.clock import Clock, Factors
from local_aws.emr import clusters
from local_aws.emr.bootstrap import BootstrapEnded, Shutdown
from local_aws.emr.cluster_data import Cluster, Reason, Step
from local_aws.emr.clusters import (
    Durations,
    Effect,
    HangStep,
    StartBootstrap,
    StartStep,
    StepResult,
    StopBootstrap,
    StopStep,
)
from local_aws.emr.pending_events import PendingEvents, Progress
from local_aws.emr.store import Store

Result = TypeVar("Result")
StepEnded = Callable[[StepResult], None]


class StepRunner(Protocol):
    """Runs steps in the background."""

    def start(self, cluster: Cluster, step: Step, ended: StepEnded) -> None:
        """Begin; ``ended`` is called once, from another thread."""

    def stop(self, step_id: str, force: bool) -> None:
        """Ask a step to end; does nothing for one that is not running."""

    def hang(self, step_id: str) -> None:
        """Freeze a step's processes; does nothing for one that is not running."""


class BootstrapRunner(Protocol):
    """Runs a cluster's bootstrap actions in the background."""

    def start(self, cluster: Cluster, shutdown: Shutdown, ended: BootstrapEnded) -> None:
        """Begin; ``ended`` is called once, from another thread, ``shutdown`` any number of times before."""

    def stop(self, cluster_id: str) -> None:
        """Kill them; does nothing for a cluster that runs none."""


class Engine:
    """All clusters, in memory and on disk, behind one lock."""

    def __init__(
        self,
        store: Store,
        runner: StepRunner,
        clock: Clock,
        durations: Durations,
        bootstrap: BootstrapRunner,
        pending_events: PendingEvents,
    ) -> None:
        self._store, self._runner = store, runner
        self._clock, self._durations, self._bootstrap = clock, durations, bootstrap
        self._changed = threading.Condition(threading.RLock())
        self._clusters = {cluster.id: cluster for cluster in store.clusters()}
        self._pending_events = pending_events
        self._progress = {cluster.id: Progress.of(cluster) for cluster in self._clusters.values()}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="emr-engine")

    @property
    def clock(self) -> Clock:
        return self._clock

    def start(self) -> None:
        with self._changed:
            for cluster in self._clusters.values():
                if not cluster.is_over:
                    self._commit(cluster, clusters.lose_processes(cluster, self._clock))
        self._thread.start()

    def stop(self) -> None:
        """Make no further move; what a step still reports is forgotten, see ``clusters.lose_processes``."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def set_factors(self, factors: Factors) -> None:
        """Shorten waits and limits, those under way too, by these."""
        with self._changed:
            self._clock.factors = factors
            self._changed.notify_all()

    def add(self, cluster: Cluster) -> None:
        with self._changed:
            self._clusters[cluster.id] = cluster
            self._commit(cluster, [])

    def read(self, view: Callable[[list[Cluster]], Result]) -> Result:
        """A consistent view of all clusters, oldest first. ``view`` must not change them."""
        with self._changed:
            return view(list(self._clusters.values()))

    def change(
        self, select: Callable[[list[Cluster]], list[Cluster]], change: Callable[[Cluster], Iterable[Effect]]
    ) -> None:
        """Select clusters (or raise, so that nothing changes) and change each, in one critical section."""
        with self._changed:
            for cluster in select(list(self._clusters.values())):
                self._commit(cluster, change(cluster))

    def _run(self) -> None:
        with self._changed:
            while not self._stopping:
                due_times = []
                for cluster in list(self._clusters.values()):
                    due = clusters.next_change_at(cluster, self._clock, self._durations)
                    if due is not None and due <= self._clock.now():
                        self._advance(cluster)
                        due = clusters.next_change_at(cluster, self._clock, self._durations)
                    if due is not None:
                        due_times.append(due)
                wait = min(due_times) - self._clock.now() if due_times else None
                # A clock moved by hand says "never" in real time; then only a change or a wake counts.
                self._changed.wait(max(0.0, wait) if wait is not None else None)

    def _advance(self, cluster: Cluster) -> None:
        try:
            effects = clusters.advance(cluster, self._clock, self._durations)
        except Exception:
            logging.getLogger(__name__).exception("Cluster %s could not be moved on", cluster.id)
            failure = Reason(code="INTERNAL_ERROR", message="An internal error occurred.")
            effects = clusters.end(cluster, failure, self._clock)
        self._commit(cluster, effects)

    def _commit(self, cluster: Cluster, effects: Iterable[Effect]) -> None:
        following = [*effects, *self._apply_pending_events(cluster)]
        self._store.save_cluster(cluster)
        for effect in following:
            self._perform(cluster, effect)
        self._changed.notify_all()

    def _apply_pending_events(self, cluster: Cluster) -> list[Effect]:
        """Those whose moment has come, and those whose moment that brings. Each is made once, so it ends."""
        following: list[Effect] = []
        while True:
            before = self._progress.get(cluster.id)
            self._progress[cluster.id] = Progress.of(cluster)
            any_made, effects = self._pending_events.apply_due(cluster, before, self._clock)
            if not any_made:
                return following
            following += effects

    def _perform(self, cluster: Cluster, effect: Effect) -> None:
        match effect:
            case StartStep(step_id):
                step = cluster.step(step_id)
                # A pending event may have ended the step before it began.
                if step is not None and step.state == "RUNNING":
                    self._runner.start(cluster, step, self._reporter(cluster, step.id))
            case StopStep(step_id, force):
                self._runner.stop(step_id, force)
            case HangStep(step_id):
                self._runner.hang(step_id)
            case StartBootstrap():
                self._bootstrap.start(cluster, *self._bootstrap_reporters(cluster))
            case StopBootstrap():
                self._bootstrap.stop(cluster.id)

    def _bootstrap_reporters(self, cluster: Cluster) -> tuple[Shutdown, BootstrapEnded]:
        def shutdown(seconds: float | None) -> None:
            with self._changed:
                if not self._stopping:
                    clusters.schedule_shutdown(cluster, seconds, self._clock)
                    self._commit(cluster, [])

        def ended(problem: str | None) -> None:
            with self._changed:
                if not self._stopping:
                    clusters.bootstrap_ended(cluster, problem)
                    self._commit(cluster, [])

        return shutdown, ended

    def _reporter(self, cluster: Cluster, step_id: str) -> StepEnded:
        def ended(result: StepResult) -> None:
            with self._changed:
                if not self._stopping:
                    self._commit(cluster, clusters.step_ended(cluster, step_id, result, self._clock))

        return ended
