"""Plays one scenario: arms its faults, triggers the DAG, does to the run what people and machines do."""

import io
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import pyarrow.parquet as pq

from chaos import ledger
from fruit_contract.layout import LATEST_KEY, RunLayout, later_run_key, run_key
from fruit_pipeline.publication import read_json
from fruit_pipeline.steps import FEATURIZE, REDUCE
from local_aws.control import Control
from local_aws.emr.moves import CompleteStep, Release
from local_run.airflow_server import AirflowApi
from local_run.processes import Child
from local_run.stack import Stack

DAG_ID: Final = "fruit_features"
REAPER_ID: Final = "cluster_reaper"
PREFIX: Final = "Test/"
GONE: Final = "gone"
"""How a run ended whose record was deleted."""
_ENDED: Final = ("success", "failed")
_NO_CONTENT: Final = 204
_POLL_SECONDS: Final = 0.1
_RUN_SECONDS: Final = 240.0
_CLUSTERS_SECONDS: Final = 90.0


class ScenarioError(AssertionError):
    """The scenario itself did not come to where its fault was to strike."""


@dataclass(frozen=True)
class Scenario:
    """One thing that goes wrong, and how a run under it must end."""

    name: str
    expected: str
    """success, failed, or gone."""
    arm: Callable[["Arena"], object] = lambda _: None
    """Prepares faults before the run is triggered."""
    act: Callable[["Running"], object] = lambda _: None
    """What happens to the run while it is under way."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    replayed: tuple[str, ...] = (FEATURIZE, REDUCE)
    """Steps that end at once, with the output of the first run as theirs; the others Spark runs."""
    retried: tuple[str, ...] = ()
    """Tasks that were struck, and so must have needed a second attempt."""
    seconds_after: float = 1.0
    """How long a cluster may outlive the run: not at all, unless the teardown is broken or comes after."""


@dataclass(frozen=True)
class Seen:
    """What became of a scenario, in values that can be sent from one process to another."""

    scenario: str
    steps_replayed: int
    expected: str
    allowed_after: float
    """Seconds that a cluster was allowed to outlive the run."""
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
            and self.seconds_after <= self.allowed_after
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
            "max_hours": 1.0,
            # The photos are the same in every scenario: without it there would be nothing to do.
            "full_refresh": True,
        }
        self.settings: Mapping[str, str] = {}
        """Environment variables of the components that are started from now on."""
        self.replayed: set[str] = set()
        """The armed moves that only replay a step, and are nobody's fault."""
        self.first_run = ""
        self.rows = 0

    def remember_first_run(self, run_id: str) -> None:
        """The result that every later scenario must leave readable."""
        self.first_run = run_id
        self.rows = self._current_rows()

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

    def change_settings(self, settings: Mapping[str, str]) -> None:
        """Tasks run with these from now on: they are processes of the scheduler's."""
        self.settings = settings
        self.kill("scheduler")
        self.restart("scheduler")

    def play(self, scenario: Scenario) -> Seen:
        """Play one scenario to its end; afterwards nothing of it is left."""
        began = time.monotonic()
        self.revive()
        known = {life.cluster_id for life in ledger.lives(self.emr)}
        run = Running(self, f"{_slug(scenario.name)}-{time.time_ns() // 1_000_000}")
        problem, ended_at = None, None
        try:
            self.control.clear()
            self.replayed.clear()
            run.replay(scenario.replayed)
            scenario.arm(self)
            self.api.trigger(DAG_ID, run.run_id, {**self.parameters, **scenario.parameters})
            scenario.act(run)
            ended_at = run.wait_until_ended()
            self._check_struck(run, scenario)
        except Exception as error:  # whatever it was, it belongs into the table, and the others are played
            problem = f"{type(error).__name__}: {error}"
            run.give_up()
        clusters = self._wait_for_clusters(known)
        self.control.clear()
        if not self.first_run:
            self.remember_first_run(run.run_id)
        return Seen(
            scenario.name,
            steps_replayed=len(scenario.replayed),
            expected=scenario.expected,
            allowed_after=scenario.seconds_after,
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
        """A run that met no fault shows nothing: every rule, move and retry must have been."""
        missed = [
            f"{record.fault.operation} was never struck"
            for record in self.control.faults()
            if not record.hits
        ]
        missed += [
            f"{record.armed.move.move} was never made ({record.problem or 'its moment never came'})"
            for record in self.control.armed()
            if record.id not in self.replayed and (record.cluster_id is None or record.problem)
        ]
        if scenario.retried:
            tries = {
                task["task_id"]: task["try_number"] for task in self.api.task_instances(DAG_ID, run.run_id)
            }
            missed += [f"{name} needed no second attempt" for name in scenario.retried if tries[name] < 2]
        if missed:
            raise ScenarioError("; ".join(missed))

    def _wait_for_clusters(self, known: set[str]) -> list[ledger.Life]:
        deadline = time.monotonic() + _CLUSTERS_SECONDS
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

    def keys(self, prefix: str) -> Iterator[str]:
        for page in self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                yield entry["Key"]


class Running:
    """One run under way, and what a scenario can do to it."""

    def __init__(self, arena: Arena, run_id: str) -> None:
        self.arena, self.run_id = arena, run_id
        self.layout = RunLayout(arena.bucket, run_key(run_id))
        self.end: str | None = None
        self.ended_at: datetime | None = None
        self.over_at: datetime | None = None
        """Since when nothing works for the run any more, where that is not its own end."""

    # --- the steps, without Spark -------------------------------------------------------------

    def replay(self, steps: Collection[str] = (FEATURIZE, REDUCE)) -> None:
        """Let these steps end at once, with the output of the first run as theirs."""
        if not steps:
            return
        source = RunLayout(self.arena.bucket, run_key(self.arena.first_run))
        for mine, theirs in zip(_outputs(self.layout), _outputs(source), strict=True):
            for key in list(self.arena.keys(theirs)):
                self.arena.s3.copy_object(
                    Bucket=self.arena.bucket,
                    Key=mine + key.removeprefix(theirs),
                    CopySource={"Bucket": self.arena.bucket, "Key": key},
                )
        for step in steps:
            self.arena.replayed.add(self.arena.control.arm(CompleteStep(), step=step))

    # --- waiting for the moment ---------------------------------------------------------------

    def until(self, task_id: str, *states: str) -> dict[str, Any]:
        """Wait until a task is in one of the states; ``ScenarioError`` if the run ends before."""
        deadline = time.monotonic() + _RUN_SECONDS
        while time.monotonic() < deadline:
            for task in self.arena.api.task_instances(DAG_ID, self.run_id):
                if task["task_id"] == task_id and task["state"] in states:
                    return task
            if self.arena.api.run_state(DAG_ID, self.run_id) in _ENDED:
                break
            time.sleep(_POLL_SECONDS)
        raise ScenarioError(f"{task_id} never was {' or '.join(states)}")

    def wait_until_ended(self) -> datetime | None:
        """When the run ended; None for one that is gone or was left for good."""
        deadline = time.monotonic() + _RUN_SECONDS
        while self.end is None and time.monotonic() < deadline:
            run = self.arena.api.run(DAG_ID, self.run_id)
            if run["state"] in _ENDED:
                self.end = str(run["state"])
                self.ended_at = datetime.fromisoformat(run["end_date"])
            time.sleep(_POLL_SECONDS)
        if self.end is None:
            raise ScenarioError(f"the run did not end in {_RUN_SECONDS:.0f} s")
        return self.ended_at

    # --- what machines do ---------------------------------------------------------------------

    def until_struck(self, fault_id: str) -> None:
        """Wait until a call meets the rule."""
        deadline = time.monotonic() + _RUN_SECONDS
        while not self.arena.control.fault(fault_id).hits:
            if time.monotonic() > deadline:
                raise ScenarioError(f"{self.arena.control.fault(fault_id).fault.operation} was never called")
            time.sleep(_POLL_SECONDS)

    def until_answered(self, operation: str) -> None:
        """Wait until every rule about the operation has struck, and then all of them let a call pass."""
        deadline = time.monotonic() + _RUN_SECONDS
        while True:
            rules = [each for each in self.arena.control.faults() if each.fault.operation == operation]
            if all(rule.hits for rule in rules) and sum(rule.hits for rule in rules) < rules[0].matched:
                return
            if time.monotonic() > deadline:
                raise ScenarioError(f"{operation} was never answered, or never called")
            time.sleep(_POLL_SECONDS)

    def kill_task(self, task_id: str) -> None:
        """SIGKILL to the process that runs the task."""
        deadline = time.monotonic() + _RUN_SECONDS
        while time.monotonic() < deadline:
            pid = self.until(task_id, "running")["pid"]
            if pid:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return
            time.sleep(_POLL_SECONDS)
        raise ScenarioError(f"{task_id} had no process to kill")

    # --- what people do -----------------------------------------------------------------------

    def mark(self, state: str) -> None:
        self._call("PATCH", self._path, {"state": state})

    def clear_task(self, task_id: str) -> None:
        """Clear one task and all that comes after it, as the UI does by default."""
        body = {
            "dry_run": False,
            "only_failed": False,
            "dag_run_id": self.run_id,
            "task_ids": [task_id],
            "include_downstream": True,
        }
        self._call("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)

    def clear(self) -> None:
        self._call("POST", f"{self._path}/clear", {"dry_run": False, "only_failed": False})

    def trigger_again(self) -> int:
        """Trigger a run of the same id; the status of the answer."""
        body = {"dag_run_id": self.run_id, "logical_date": None, "conf": {"bucket": self.arena.bucket}}
        return self.arena.api.call("POST", f"/dags/{DAG_ID}/dagRuns", body).status_code

    def delete(self) -> int:
        return self.arena.api.call("DELETE", self._path).status_code

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._call("PATCH", f"/dags/{DAG_ID}", {"is_paused": True})
        try:
            yield
        finally:
            self._call("PATCH", f"/dags/{DAG_ID}", {"is_paused": False})

    def reap(self) -> None:
        """Run the DAG cluster_reaper now, as its schedule would; it is paused otherwise."""
        reaping = f"reap-{time.time_ns()}"
        self._call("PATCH", f"/dags/{REAPER_ID}", {"is_paused": False})
        try:
            self.arena.api.trigger(REAPER_ID, reaping, {})
            deadline = time.monotonic() + _RUN_SECONDS
            while (state := self.arena.api.run_state(REAPER_ID, reaping)) not in _ENDED:
                if time.monotonic() > deadline:
                    raise ScenarioError("cluster_reaper did not end")
                self.arena.revive()
                time.sleep(_POLL_SECONDS)
        finally:
            self._call("PATCH", f"/dags/{REAPER_ID}", {"is_paused": True})
        if state != "success":
            raise ScenarioError("cluster_reaper failed")

    def delete_for_good(self) -> None:
        """Delete the run as people do whom Airflow does not let delete a running one: queued first."""
        deadline = time.monotonic() + _RUN_SECONDS
        while True:
            self.mark("queued")
            if self.delete() == _NO_CONTENT:
                break
            if time.monotonic() > deadline:
                raise ScenarioError("the run could not be deleted")
        self.end = GONE
        self.over_at = self.over_at or datetime.now(UTC)

    def abandoned(self) -> None:
        """From now on nobody works for the run."""
        self.over_at = datetime.now(UTC)

    def again(self) -> None:
        """Clear a run that has ended, so that it runs once more from the start."""
        self.end = None
        # Its result is published, and stays: what it does now goes below a key of its own.
        self.layout = RunLayout(self.arena.bucket, later_run_key(self.layout.run_key, 2))
        self.replay()
        self.clear()

    def twin(self) -> "Running":
        """A second run of the DAG, triggered now."""
        other = Running(self.arena, f"{self.run_id}-twin")
        other.replay()
        self.arena.api.trigger(DAG_ID, other.run_id, self.arena.parameters)
        return other

    # --- the cluster and what it writes -------------------------------------------------------

    def release(self, cluster_id: str) -> None:
        """Let a held cluster go on."""
        self.arena.control.move(cluster_id, Release())

    def wait_until_step_failed(self, name: str) -> None:
        """Until a step of the run's cluster has failed, with the cluster still there to tell it."""
        deadline = time.monotonic() + _RUN_SECONDS
        while time.monotonic() < deadline:
            for cluster_id in self.alive():
                steps = self.arena.emr.list_steps(ClusterId=cluster_id)["Steps"]
                if any(step["Name"] == name and step["Status"]["State"] == "FAILED" for step in steps):
                    return
            time.sleep(_POLL_SECONDS)
        raise ScenarioError(f"step {name} did not fail while its cluster was there")

    def wait_until_no_cluster(self) -> None:
        deadline = time.monotonic() + _RUN_SECONDS
        while self.alive():
            if time.monotonic() > deadline:
                raise ScenarioError(f"the cluster was still there after {_RUN_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def forget(self, prefix: str) -> None:
        """Take away what a step is said to have written."""
        for key in list(self.arena.keys(prefix)):
            self.arena.s3.delete_object(Bucket=self.arena.bucket, Key=key)

    def shorten(self, prefix: str) -> None:
        """Drop one row of what a step is said to have written."""
        for key in self.arena.keys(prefix):
            if key.endswith(".parquet"):
                body = self.arena.s3.get_object(Bucket=self.arena.bucket, Key=key)["Body"].read()
                shorter = io.BytesIO()
                pq.write_table(pq.read_table(io.BytesIO(body))[1:], shorter)
                self.arena.s3.put_object(Bucket=self.arena.bucket, Key=key, Body=shorter.getvalue())
                return
        raise ScenarioError(f"there is no Parquet file under {prefix}")

    def alive(self) -> list[str]:
        """Ids of the clusters of this run that cost money."""
        return [
            life.cluster_id
            for life in ledger.lives(self.arena.emr)
            if life.run_key == self.layout.run_key and life.ended is None
        ]

    @property
    def _path(self) -> str:
        return f"/dags/{DAG_ID}/dagRuns/{self.run_id}"

    def give_up(self) -> None:
        """Leave nothing of this run in the way of the next scenario's."""
        with suppress(Exception):  # whatever is wrong with it has been noted
            self.mark("failed")
        for cluster_id in self.alive():
            self.arena.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
            self.arena.emr.terminate_job_flows(JobFlowIds=[cluster_id])

    def _call(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        answer = self.arena.api.call(method, path, body)
        if answer.is_error:
            raise ScenarioError(f"Airflow answered {method} {path} with {answer.status_code}: {answer.text}")


def _outputs(layout: RunLayout) -> tuple[str, ...]:
    return (
        layout.features,
        layout.rejected,
        layout.pca_output,
        layout.pca_model,
        layout.manifest,
        layout.featurize_metrics,
        layout.reduce_metrics,
        layout.variance_plot,
    )


def _slug(name: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in name.lower())[:60].strip("-")
