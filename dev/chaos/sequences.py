"""Random sequences of what can happen to the clusters of two runs and a stranger, as a Hypothesis machine.

The pipeline's own builders, operators and reaper are played against the real endpoint's state machine,
through boto3. After every step, whatever it was: no run has two clusters, the stranger's lives, and a
run that was torn down, or is dead and was swept, has none.
"""

import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import boto3
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chaos.task_context import BUCKET, context
from fruit_contract.layout import DAG_ID
from fruit_pipeline.cluster import reaper
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cluster.identity import BILLABLE_STATES, tags_of
from fruit_pipeline.dag.operators import AddStepOperator, CreateClusterOperator, TerminateClusterOperator
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws.control import Control, ControlError
from local_aws.emr.outside_events import FailStep, LosePrimary, ReclaimSpot
from local_aws.faults import Drop, Error, Fault, Throttle
from local_aws.server import LocalAws, Settings
from local_run import local_account
from local_run.local_stack import Paths

REGION: Final = "eu-west-1"
RUNS: Final = st.sampled_from(("one", "two"))
UNWELL: Final = st.sampled_from(
    (
        None,
        Throttle(),
        Drop(),
        Error(status=500, code="InternalServerException", message="An internal error occurred."),
    )
)
EVENTS: Final = st.sampled_from((ReclaimSpot(), LosePrimary(), FailStep()))
_AWS: Final[dict[str, Any]] = {"aws_conn_id": None, "region_name": REGION}
_NUMBERS: Final = itertools.count()
_WHERE_ONE_IS: Final = precondition(lambda machine: bool(machine.made))
"""Not worth a step while no run has a cluster."""


class TwoRunsAndAStranger(RuleBasedStateMachine):
    """The clusters of two DAG runs of this installation, and one of somebody else's."""

    emr: ClassVar[Any]
    control: ClassVar[Control]

    @initialize()
    def begin(self) -> None:
        self.number = next(_NUMBERS)
        self.xcom: dict[str, str | None] = {}
        self.dead: set[str] = set()
        self.made: set[str] = set()
        """Runs that have been given a cluster since they were last torn down."""
        stranger = job_flow(
            RunParameters(bucket=BUCKET), Deployment(installation="stranger"), "", DAG_ID, self.run("one")
        )
        del stranger["BootstrapActions"]
        self.stranger = str(self.emr.run_job_flow(**stranger)["JobFlowId"])
        self.control.clear()

    def run(self, name: str) -> str:
        return f"{name}-{self.number}"

    # --- what the DAG does --------------------------------------------------------------------

    @precondition(lambda machine: len(machine.dead) < 2)
    @rule(name=RUNS, unwell=UNWELL)
    def create(self, name: str, unwell: Any) -> None:
        if name in self.dead:
            [name] = {"one", "two"} - self.dead
        already = self._alive(name)
        self._break("RunJobFlow", unwell)
        request = job_flow(RunParameters(bucket=BUCKET), Deployment(), "", DAG_ID, self.run(name))
        del request["BootstrapActions"]
        operator = CreateClusterOperator(
            task_id="create_cluster", job_flow_overrides=request, poll_seconds=0, **_AWS
        )
        self.xcom[name] = operator.execute(context(self.run(name)))
        self.made.add(name)
        began = self.control.logged_calls("emr").took_effect("RunJobFlow")
        self.control.clear()
        assert began == (0 if already else 1), "a second cluster was made, if only for a moment"

    @_WHERE_ONE_IS
    @rule(name=RUNS, unwell=UNWELL)
    def add_step(self, name: str, unwell: Any) -> None:
        name = self._one_that_has(name)
        if self.xcom.get(name) not in self._alive(name):
            return  # its cluster was lost, or its id was
        self._break("AddJobFlowSteps", unwell)
        step = {
            "Name": "a step",
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["sleep", "60"]},
        }
        operator = AddStepOperator(
            task_id="add", job_flow_id=self.xcom[name], step=step, poll_seconds=0, **_AWS
        )
        operator.execute(context(self.run(name)))
        self.control.clear()
        steps = self.emr.list_steps(ClusterId=self.xcom[name], StepStates=["PENDING", "RUNNING"])["Steps"]
        assert len(steps) <= 1, "the step was added twice"

    @_WHERE_ONE_IS
    @rule(name=RUNS, unwell=UNWELL)
    def tear_down(self, name: str, unwell: Any) -> None:
        self._break("TerminateJobFlows", unwell)
        TerminateClusterOperator(task_id="end", poll_seconds=0, **_AWS).execute(
            context(self.run(name), self.xcom.get(name))
        )
        self.control.clear()
        self.made.discard(name)
        assert self._alive(name) == [], "the teardown left a cluster"

    @rule(dry_run=st.booleans())
    def reap(self, dry_run: bool) -> None:
        alive = {self.run(name) for name in ("one", "two")} - {self.run(name) for name in self.dead}
        before = {name: self._alive(name) for name in ("one", "two")}
        done = reaper.sweep(
            [(REGION, self.emr)], "fruits", datetime.now(UTC), lambda _, run_id: run_id in alive, dry_run
        )
        assert not done.failed
        for name in ("one", "two"):
            if name in self.dead and not dry_run:
                assert self._alive(name) == [], "the reaper left a cluster of a dead run"
            elif name not in self.dead or dry_run:
                ended = set(before[name]) - set(self._alive(name))
                assert not ended & set(done.terminated), "the reaper ended a live run's cluster"

    # --- what happens to it -------------------------------------------------------------------

    @_WHERE_ONE_IS
    @rule(name=RUNS)
    def lose_xcom(self, name: str) -> None:
        self.xcom[self._one_that_has(name)] = None

    @_WHERE_ONE_IS
    @rule(name=RUNS)
    def die(self, name: str) -> None:
        """The run is deleted, or its Airflow is gone: nobody tears it down."""
        self.dead.add(name)

    @_WHERE_ONE_IS
    @rule(name=RUNS)
    def protect(self, name: str) -> None:
        for cluster_id in self._alive(self._one_that_has(name)):
            self.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=True)

    @_WHERE_ONE_IS
    @rule(name=RUNS, event=EVENTS)
    def strike(self, name: str, event: Any) -> None:
        for cluster_id in self._alive(self._one_that_has(name)):
            # A step cannot fail where none runs, nor a primary be lost twice.
            with suppress(ControlError):
                self.control.cause(cluster_id, event)

    # --- what holds all the time --------------------------------------------------------------

    @invariant()
    def no_run_has_two_clusters(self) -> None:
        for name in ("one", "two"):
            assert len(self._alive(name)) <= 1, f"run {name} has two clusters"

    @invariant()
    def the_stranger_lives(self) -> None:
        state = self.emr.describe_cluster(ClusterId=self.stranger)["Cluster"]["Status"]["State"]
        assert state in BILLABLE_STATES, "somebody else's cluster was ended"

    def teardown(self) -> None:
        self.control.clear()
        ids = [self.stranger, *self._alive("one"), *self._alive("two")] if hasattr(self, "stranger") else []
        for cluster_id in ids:
            self.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
            self.emr.terminate_job_flows(JobFlowIds=[cluster_id])

    def _break(self, operation: str, unwell: Any) -> None:
        if unwell is not None:
            self.control.add_fault(Fault(service="emr", operation=operation, calls=1, effect=unwell))

    def _one_that_has(self, name: str) -> str:
        return name if name in self.made else next(iter(self.made))

    def _alive(self, name: str) -> list[str]:
        listed = self.emr.list_clusters(ClusterStates=list(BILLABLE_STATES))["Clusters"]
        return [
            summary["Id"]
            for summary in listed
            if summary["Id"] != self.stranger
            and tags_of(self.emr.describe_cluster(ClusterId=summary["Id"])["Cluster"]).get("run_id")
            == self.run(name)
        ]


@contextmanager
def endpoint() -> Iterator[LocalAws]:
    """Local AWS in this process, and the environment of its clients."""
    before = dict(os.environ)
    paths = Paths.of(Path(__file__).resolve().parents[2])
    with tempfile.TemporaryDirectory() as folder:
        options = Settings(state_dir=Path(folder), spark_python=paths.spark_python, time_factor=20_000)
        with LocalAws(options) as aws:
            os.environ.update(aws.environment)
            try:
                yield aws
            finally:
                os.environ.clear()
                os.environ.update(before)


def play(number: int, examples: int, steps: int = 20) -> None:
    """Play ``examples`` sequences of up to ``steps`` steps; the same number gives the same ones."""
    with endpoint() as aws:
        machine = seed(number)(TwoRunsAndAStranger)
        machine.emr = boto3.client("emr", region_name=REGION)
        local_account.create_bucket(boto3.client("s3", region_name=REGION), BUCKET, REGION)
        machine.control = Control(aws.emr_url)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                phases=[Phase.generate, Phase.shrink],
                suppress_health_check=list(HealthCheck),
            ),
        )
