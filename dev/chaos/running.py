"""One run under way: what to wait for, and what people and machines can do to it."""

import io
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from chaos import ledger, limits
from fruit_contract.classifier import CARD_NAME
from fruit_contract.layout import DAG_ID, FINISHED_NAME, RunLayout, run_key
from fruit_pipeline.cluster.identity import STEPS
from fruit_pipeline.results import claims, publication
from fruit_pipeline.results.claims import Owner
from fruit_pipeline.settings.deployment import Deployment
from local_aws.emr.outside_events import CompleteStep, Release

if TYPE_CHECKING:
    from chaos.driver import Arena

REAPER_ID: Final = "cluster_reaper"
GONE: Final = "gone"
"""How a run ended whose record was deleted."""
_ENDED: Final = ("success", "failed")
_NO_CONTENT: Final = 204
_POLL_SECONDS: Final = 0.1
_RUN_SECONDS: Final = 240.0


class ScenarioError(AssertionError):
    """The scenario itself did not come to where its fault was to strike."""


class Running:
    """One run under way, and what a scenario can do to it."""

    def __init__(self, arena: "Arena", run_id: str) -> None:
        self.arena, self.run_id = arena, run_id
        self.layout = RunLayout(arena.bucket, run_key(run_id))
        self.end: str | None = None
        self.ended_at: datetime | None = None
        self.over_at: datetime | None = None
        """Since when nothing works for the run any more, where that is not its own end."""

    @property
    def patience(self) -> float:
        """Seconds to wait for anything that the run is to come to."""
        return self.arena.pace.seconds(_RUN_SECONDS)

    # --- the steps, without Spark -------------------------------------------------------------

    def replay(self, steps: Collection[str] = STEPS) -> None:
        """Let these steps end at once, with the output of the first run as theirs.

        It is there before the run begins, so the run's keys are claimed for it; and it is not called
        finished, which would send the run to other keys.
        """
        if not steps:
            return
        owner = Owner(Deployment().installation, DAG_ID, self.run_id)
        self.layout = claims.claim(self.arena.s3, self.arena.bucket, owner)
        source = RunLayout(self.arena.bucket, run_key(self.arena.first_run))
        for mine, theirs in zip(_outputs(self.layout), _outputs(source), strict=True):
            for key in self.arena.keys(theirs):
                if key.endswith(FINISHED_NAME):
                    continue
                self.arena.s3.copy_object(
                    Bucket=self.arena.bucket,
                    Key=mine + key.removeprefix(theirs),
                    CopySource={"Bucket": self.arena.bucket, "Key": key},
                )
        self._sign_classifier()
        for step in steps:
            self.arena.replayed.add(self.arena.control.cause_later(CompleteStep(), step=step))

    def _sign_classifier(self) -> None:
        """A classifier's card names its run."""
        card_key = f"{self.layout.classifier}{CARD_NAME}"
        if card := publication.read_json(self.arena.s3, self.arena.bucket, card_key):
            signed = {**card, "run_key": self.layout.run_key}
            publication.write_json(self.arena.s3, self.arena.bucket, card_key, signed)

    # --- waiting for the moment ---------------------------------------------------------------

    def _wait(self, condition: Callable[[], bool], problem: str) -> None:
        """Until the condition holds; ``ScenarioError`` with the problem if it never does."""
        deadline = time.monotonic() + self.patience
        while not condition():
            if time.monotonic() > deadline:
                raise ScenarioError(problem)
            time.sleep(_POLL_SECONDS)

    def until(self, task_id: str, *states: str) -> dict[str, Any]:
        """Wait until a task is in one of the states; ``ScenarioError`` if the run ends before."""
        deadline = time.monotonic() + self.patience
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
        deadline = time.monotonic() + self.patience
        while self.end is None and time.monotonic() < deadline:
            run = self.arena.api.run(DAG_ID, self.run_id)
            if run["state"] in _ENDED:
                self.end = str(run["state"])
                self.ended_at = datetime.fromisoformat(run["end_date"])
            time.sleep(_POLL_SECONDS)
        if self.end is None:
            raise ScenarioError(f"the run did not end in {self.patience:.0f} s")
        return self.ended_at

    # --- what machines do ---------------------------------------------------------------------

    def until_struck(self, fault_id: str) -> None:
        """Wait until a call meets the rule."""
        operation = self.arena.control.fault(fault_id).fault.operation
        self._wait(lambda: self.arena.control.fault(fault_id).hits > 0, f"{operation} was never called")

    def until_answered(self, operation: str) -> None:
        """Wait until every rule about the operation has struck, and then all of them let a call pass."""

        def answered() -> bool:
            rules = [each for each in self.arena.control.faults() if each.fault.operation == operation]
            return all(rule.hits for rule in rules) and sum(rule.hits for rule in rules) < rules[0].matched

        self._wait(answered, f"{operation} was never answered, or never called")

    def until_no_cluster_lives(self) -> None:
        self._wait(lambda: not self.alive(), "the run's cluster never ended")

    def until_all_happened(self) -> None:
        """Wait until every pending event has found its cluster, but for those that only replay a step."""

        def happened() -> bool:
            events = self.arena.control.pending_events()
            return all(each.cluster_id for each in events if each.id not in self.arena.replayed)

        self._wait(happened, "what was to happen to the cluster never did")

    def kill_task(self, task_id: str) -> None:
        """SIGKILL to the process that runs the task."""

        def killed() -> bool:
            if pid := self.until(task_id, "running")["pid"]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    return True
            return False

        self._wait(killed, f"{task_id} had no process to kill")

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

            def ended() -> bool:
                self.arena.revive()
                return self.arena.api.run_state(REAPER_ID, reaping) in _ENDED

            self._wait(ended, "cluster_reaper did not end")
        finally:
            self._call("PATCH", f"/dags/{REAPER_ID}", {"is_paused": True})
        if self.arena.api.run_state(REAPER_ID, reaping) != "success":
            raise ScenarioError("cluster_reaper failed")

    def delete_for_good(self) -> None:
        """Delete the run as people do whom Airflow does not let delete a running one: queued first."""

        def deleted() -> bool:
            self.mark("queued")
            return self.delete() == _NO_CONTENT

        self._wait(deleted, "the run could not be deleted")
        self.end = GONE
        self.over_at = self.over_at or datetime.now(UTC)

    def abandoned(self) -> None:
        """From now on nobody works for the run."""
        self.over_at = datetime.now(UTC)

    def again(self) -> None:
        """Clear a run that has ended, so that it runs once more from the start."""
        self.end = None
        self.replay()
        self.clear()

    def twin(self) -> "Running":
        """A second run of the DAG, triggered now."""
        other = Running(self.arena, f"{self.run_id}-twin")
        other.replay()
        self.arena.api.trigger(DAG_ID, other.run_id, self.arena.parameters)
        return other

    # --- the cluster and what it writes -------------------------------------------------------

    def hurry(self) -> None:
        """Nothing works on the cluster any more: its limits run out in seconds, until the scenario ends."""
        self.arena.control.set_factors(limits.HURRIED)

    def release(self, cluster_id: str) -> None:
        """Let a held cluster go on."""
        self.arena.control.cause(cluster_id, Release())

    def wait_until_step_failed(self, name: str) -> None:
        """Until a step of the run's cluster has failed, with the cluster still there to tell it."""

        def failed() -> bool:
            listed = (self.arena.emr.list_steps(ClusterId=each)["Steps"] for each in self.alive())
            return any(
                step["Name"] == name and step["Status"]["State"] == "FAILED"
                for steps in listed
                for step in steps
            )

        self._wait(failed, f"step {name} did not fail while its cluster was there")

    def wait_until_no_cluster(self) -> None:
        self._wait(lambda: not self.alive(), f"the cluster was still there after {self.patience:.0f} s")

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
            if life.run_key == run_key(self.run_id) and life.ended is None
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
        layout.classifier,
        layout.manifest,
        layout.featurize_metrics,
        layout.reduce_metrics,
        layout.train_metrics,
        layout.confusion_plot,
        layout.reliability_plot,
        layout.variance_plot,
        layout.overview,
    )
