"""Plays one scenario: prepares its faults, triggers the DAG, does to the run what people and machines do."""

import io
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import pyarrow.parquet as pq

from chaos import ledger, limits
from chaos.running import Running, ScenarioError
from fruit_contract.layout import DAG_ID, LATEST_KEY, RunLayout, split_uri
from fruit_pipeline.cluster.identity import STEPS
from fruit_pipeline.results.publication import read_json
from local_aws.control import Control
from local_run.airflow_server import AirflowApi
from local_run.local_stack import Stack
from local_run.pace import Pace
from local_run.processes import Child

_POLL_SECONDS: Final = 0.1
_ROUNDED_SECONDS: Final = 1.0
"""How long a cluster seems to outlive a run that saw its end, by clocks that round."""


@dataclass(frozen=True)
class Scenario:
    """One thing that goes wrong, and how a run under it must end."""

    name: str
    expected: str
    """success, failed, or gone."""
    prepare: Callable[["Arena"], object] = lambda _: None
    """Prepares faults before the run is triggered."""
    act: Callable[["Running"], object] = lambda _: None
    """What happens to the run while it is under way."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Parameters of the run that are limits of real time, as on two quiet cores."""
    replayed: tuple[str, ...] = STEPS
    """Steps that end at once, with the output of the first run as theirs; the others Spark runs."""
    retried: tuple[str, ...] = ()
    """Tasks that were struck, and so must have needed a second attempt."""
    short_tasks: bool = False
    """Whether Airflow cuts tasks off after a few seconds."""
    outlived: bool = False
    """Whether a cluster may outlive the run: only where the teardown is broken or comes after."""


@dataclass(frozen=True)
class Seen:
    """What became of a scenario, in values that can be sent from one process to another."""

    scenario: str
    steps_replayed: int
    expected: str
    outlived: bool
    """Whether a cluster was allowed to outlive the run."""
    end: str
    clusters: int
    left: int
    duplicates: int
    seconds_after: float
    old_result_readable: bool
    seconds: float
    problem: str | None = None

    @property
    def as_expected(self) -> bool:
        return (
            self.end == self.expected
            and not self.left
            and not self.duplicates
            and (self.outlived or self.seconds_after <= _ROUNDED_SECONDS)
            and self.old_result_readable
            and self.problem is None
        )


class Arena:
    """The running system that all scenarios share."""

    def __init__(self, stack: Stack, api: AirflowApi, control: Control, bucket: str) -> None:
        self.stack, self.api, self.control, self.bucket = stack, api, control, bucket
        self.s3, self.emr = stack.client("s3"), stack.client("emr")
        self.parameters: dict[str, Any] = {
            "bucket": bucket,
            "components": 4,
            "minimum_variance": 0.1,
            "image_size": 96,
            # The photos are the same in every scenario: without it there would be nothing to do.
            "full_refresh": True,
        }
        self.pace = limits.UNMEASURED
        self.settings: dict[str, str] = {}
        """Environment variables of the components that are started from now on."""
        self.replayed: set[str] = set()
        """The pending events that only replay a step, and are nobody's fault."""
        self.run_id = ""
        """Of the scenario that is played."""
        self.first_run = ""
        self.rows = 0

    def _remember_first_run(self, run_id: str) -> None:
        """The result that every later scenario must leave readable, and the pace that it was made at."""
        self.first_run = run_id
        self.rows = self._current_rows()
        run = self.api.run(DAG_ID, run_id)
        began, ended = (datetime.fromisoformat(run[name]) for name in ("start_date", "end_date"))
        self.pace = Pace.of((ended - began).total_seconds(), limits.QUIET_RUN_SECONDS)

    def child(self, component: str) -> Child:
        """The process of an Airflow component, the newest where it was restarted."""
        return next(child for child in reversed(self.stack.children) if child.name.endswith(component))

    def kill(self, component: str) -> None:
        self.child(component).process.kill()
        self.child(component).process.wait()

    def restart(self, component: str) -> None:
        environment = {**self.stack.environment, **self.settings}
        self.stack.children.append(self.stack.airflow.start(component, environment))

    def revive(self) -> None:
        """Start the scheduler again if it has ended, as whoever supervises it would.

        That of Airflow 3.3.2 can die of a run that is deleted under its hands (SQLAlchemy's StaleDataError).
        """
        if self.child("scheduler").process.poll() is not None:
            self.restart("scheduler")

    def _change_settings(self, settings: dict[str, str]) -> None:
        """Airflow runs with these from now on, and with the scheduler its tasks."""
        if settings != self.settings:
            self.settings = settings
            for component in ("triggerer", "scheduler"):
                self.kill(component)
                self.restart(component)

    def play(self, scenario: Scenario) -> Seen:
        """Play one scenario to its end. If it ended as expected, nothing of it is left."""
        began = time.monotonic()
        if self.first_run:
            self._change_settings(limits.settings(self.pace, scenario.short_tasks))
        self.revive()
        known = {life.cluster_id for life in ledger.lives(self.emr)}
        self.run_id = f"{_slug(scenario.name)}-{time.time_ns() // 1_000_000}"
        run = Running(self, self.run_id)
        problem, ended_at = None, None
        try:
            self.control.set_factors(limits.PATIENT)
            self.control.clear()
            self.replayed.clear()
            run.replay(scenario.replayed)
            scenario.prepare(self)
            stretched = {name: self.pace.seconds(quiet) for name, quiet in scenario.limits.items()}
            self.api.trigger(DAG_ID, run.run_id, self.parameters | stretched)
            scenario.act(run)
            ended_at = run.wait_until_ended()
            if run.end != scenario.expected:
                problem = self.api.run(DAG_ID, run.run_id).get("note")
            self._check_struck(run, scenario)
        except Exception as error:  # whatever it was, it belongs into the table, and the others are played
            problem = f"{type(error).__name__}: {error}"
            run.give_up()
        clusters = self._wait_for_clusters(known, run.patience)
        self.control.clear()
        if not self.first_run and run.end == "success":
            self._remember_first_run(run.run_id)
        return Seen(
            scenario.name,
            steps_replayed=len(scenario.replayed),
            expected=scenario.expected,
            outlived=scenario.outlived,
            end=run.end or "none",
            clusters=len(clusters),
            left=ledger.left(clusters),
            duplicates=ledger.duplicates(clusters),
            seconds_after=ledger.seconds_after(clusters, run.over_at or ended_at),
            old_result_readable=self._current_rows() == self.rows > 0,
            seconds=time.monotonic() - began,
            problem=problem,
        )

    def _check_struck(self, run: "Running", scenario: Scenario) -> None:
        """A run that met no fault shows nothing: every rule, event and retry must have been."""
        missed = [
            f"{record.fault.operation} was never struck"
            for record in self.control.faults()
            if not record.hits
        ]
        missed += [
            f"{record.pending.event.kind} never happened ({record.problem or 'its moment never came'})"
            for record in self.control.pending_events()
            if record.id not in self.replayed and (record.cluster_id is None or record.problem)
        ]
        if scenario.retried:
            tries = {
                task["task_id"]: task["try_number"] for task in self.api.task_instances(DAG_ID, run.run_id)
            }
            missed += [f"{name} needed no second attempt" for name in scenario.retried if tries[name] < 2]
        if missed:
            raise ScenarioError("; ".join(missed))

    def _wait_for_clusters(self, known: set[str], seconds: float) -> list[ledger.Life]:
        deadline = time.monotonic() + seconds
        while ledger.left(clusters := ledger.lives(self.emr, known)) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return clusters

    def _current_rows(self) -> int:
        """Rows that a reader finds who follows the pointer now."""
        latest = read_json(self.s3, self.bucket, LATEST_KEY)
        if latest is None:
            return 0
        prefix = RunLayout(self.bucket, latest["run_key"]).pca_output
        return sum(
            pq.read_table(io.BytesIO(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read())).num_rows
            for key in self.keys(prefix)
            if key.endswith(".parquet")
        )

    def published(self) -> dict[str, str]:
        """The current result: the pointer, and what it leads to, by key with the ETag."""
        latest: dict[str, str] = read_json(self.s3, self.bucket, LATEST_KEY) or {}
        names = ("pca_output", "pca_model", "classifier", "manifest", "report")
        prefixes = [LATEST_KEY, *(split_uri(latest[name])[1] for name in names if latest.get(name))]
        return {
            key: self.s3.head_object(Bucket=self.bucket, Key=key)["ETag"]
            for prefix in prefixes
            for key in self.keys(prefix)
        }

    def keys(self, prefix: str) -> Iterator[str]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name.lower())[:60].strip("-")
