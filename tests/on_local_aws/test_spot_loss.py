"""A run whose cluster is lost to Spot goes on with one more, on demand, and never with a third."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.client import BaseClient

from chaos.task_context import BUCKET, context
from fruit_contract.layout import DAG_ID
from fruit_contract.report_schema import ChosenFleet, ExpectedSizing
from fruit_pipeline.cluster import spot_loss
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cluster.identity import tags_of
from fruit_pipeline.dag.links import StepLogLink
from fruit_pipeline.dag.operators import (
    AddStepOperator,
    ClusterReadySensor,
    CreateClusterOperator,
    StepSensor,
    TerminateClusterOperator,
)
from fruit_pipeline.results.run_plan import RunEstimate
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws.clock import Factors
from local_aws.control import Control
from local_aws.emr.outside_events import FailStep, LosePrimary, ReclaimSpot, WithholdSpot
from local_aws.server import LocalAws
from local_run import local_account
from tests.dev.local_aws.emr_client import TIME_FACTOR, cluster_in, step, step_in

AWS: Final[dict[str, Any]] = {"aws_conn_id": None, "region_name": "eu-west-1"}
KEY: Final = "artifacts/hard_lifetime.sh"
HARD_LIFETIME: Final = f"s3://{BUCKET}/{KEY}"
FLEET: Final = ChosenFleet(worker_type="m6g.xlarge", workers=2)
ESTIMATE: Final = RunEstimate(
    estimate=2.0,
    expected=1.0,
    sizing=ExpectedSizing(chosen=FLEET, automatic=False, expected_minutes=20, arithmetic=""),
)


@pytest.fixture(autouse=True)
def _local_aws(aws: LocalAws, s3: BaseClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Its clients find it, and no limit runs out meanwhile."""
    local_account.create_bucket(s3, BUCKET, "eu-west-1")
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"#!/bin/sh\n")
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    control = Control(aws.emr_url)
    control.set_factors(Factors(time_factor=TIME_FACTOR))
    yield
    control.clear()
    control.set_factors(Factors(time_factor=TIME_FACTOR, limit_factor=TIME_FACTOR))


class Run:
    """One run's tasks, each of which knows only what the others have handed on."""

    def __init__(self, run_id: str, **changes: Any) -> None:
        self.run_id, self.changes = run_id, changes
        parameters = RunParameters(bucket=BUCKET, **changes)
        request = job_flow(parameters, Deployment(), HARD_LIFETIME, DAG_ID, run_id)
        self.handed_on = {("guards", "return_value"): ESTIMATE, ("publish_artifacts", "job_flow"): request}
        creating = self._task(CreateClusterOperator, job_flow_overrides=request, poll_seconds=0)
        self.created = str(creating.execute(self._context()))

    def _context(self) -> Any:
        return context(self.run_id, handed_on=self.handed_on, **self.changes)

    def _task(self, kind: Any, **arguments: Any) -> Any:
        return kind(task_id="task", **arguments, **AWS)

    def add(self, cluster_id: str, *command: str) -> tuple[str, str]:
        """Cluster and step, as the tasks that follow are told them."""
        told = self._context()
        adding = self._task(AddStepOperator, job_flow_id=cluster_id, step=step(*command), poll_seconds=0)
        step_id = str(adding.execute(told))
        return told["ti"].pushed["cluster_id"], step_id

    def wait_for_cluster(self) -> str:
        return str(
            self._task(ClusterReadySensor, job_flow_id=self.created, poke_interval=0).execute(self._context())
        )

    def wait_for_step(self, cluster_id: str, step_id: str, *command: str) -> str:
        of = {"job_flow_id": cluster_id, "step_id": step_id, "step": step(*command)}
        return str(self._task(StepSensor, **of, poke_interval=0).execute(self._context()))

    def end(self) -> None:
        self._task(TerminateClusterOperator, poll_seconds=0).execute(self._context())


def alive(emr: BaseClient) -> list[dict[str, Any]]:
    states = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
    listed = emr.list_clusters(ClusterStates=states)["Clusters"]
    return [emr.describe_cluster(ClusterId=each["Id"])["Cluster"] for each in listed]


def lose(aws: LocalAws, emr: BaseClient, cluster_id: str, event: Any = ReclaimSpot()) -> None:  # noqa: B008
    cluster_in(emr, cluster_id, "WAITING", "RUNNING")
    Control(aws.emr_url).cause(cluster_id, event)
    cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")


def second_of(emr: BaseClient, lost: str) -> str:
    """The cluster that came in place of another: the only one that lives, and on demand."""
    [cluster] = alive(emr)
    assert tags_of(cluster)["in_place_of"] == lost
    instances = emr.list_instances(ClusterId=cluster["Id"])["Instances"]
    assert {each["Market"] for each in instances} == {"ON_DEMAND"}
    return str(cluster["Id"])


@pytest.mark.parametrize("event", [ReclaimSpot(), LosePrimary()], ids=["all of it", "the primary"])
def test_a_step_that_is_lost_with_its_cluster_runs_on_another(
    aws: LocalAws, emr: BaseClient, event: Any
) -> None:
    run = Run(f"lost-in-step-{event.kind}")
    cluster_id, step_id = run.add(run.created, "sleep", "600")
    step_in(emr, cluster_id, step_id, "RUNNING")
    lose(aws, emr, cluster_id, event)
    with pytest.raises(TaskDeferred):
        run.wait_for_step(cluster_id, step_id, "true")
    second = second_of(emr, lost=cluster_id)
    [again] = emr.list_steps(ClusterId=second)["Steps"]
    step_in(emr, second, again["Id"], "COMPLETED")
    # Woken, the task begins with what it was told at first, and finds the same cluster and step.
    assert run.wait_for_step(cluster_id, step_id, "true") == second
    assert len(emr.list_steps(ClusterId=second)["Steps"]) == 1
    assert run.add(cluster_id, "true") == (second, again["Id"])
    run.end()
    assert alive(emr) == []


def test_the_link_to_the_log_follows_the_step_to_the_other_cluster(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("link-follows")
    cluster_id, step_id = run.add(run.created, "sleep", "600")
    step_in(emr, cluster_id, step_id, "RUNNING")
    of = {"job_flow_id": cluster_id, "step_id": step_id, "step": step("sleep", "600")}
    waiting = run._task(StepSensor, **of, poke_interval=0)
    links = []
    for _ in range(2):
        with pytest.raises(TaskDeferred):
            waiting.execute(run._context())
        links.append(StepLogLink().get_link(waiting, ti_key=None))
        if len(links) == 1:
            lose(aws, emr, cluster_id)
    second = second_of(emr, lost=cluster_id)
    [again] = emr.list_steps(ClusterId=second)["Steps"]
    assert links[0].endswith(f"prefix=logs/{cluster_id}/steps/{step_id}/")
    assert links[1].endswith(f"prefix=logs/{second}/steps/{again['Id']}/")


def test_a_step_whose_driver_was_lost_with_a_worker_runs_on_another(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("lost-driver")
    cluster_id, step_id = run.add(run.created, "sleep", "600")
    step_in(emr, cluster_id, step_id, "RUNNING")
    control = Control(aws.emr_url)
    control.cause(cluster_id, ReclaimSpot(role="CORE", count=1))
    control.cause(cluster_id, FailStep())
    step_in(emr, cluster_id, step_id, "FAILED")
    with pytest.raises(TaskDeferred):
        run.wait_for_step(cluster_id, step_id, "true")
    # The first one has been ended, and costs nothing beside it.
    second = second_of(emr, lost=cluster_id)
    [again] = emr.list_steps(ClusterId=second)["Steps"]
    step_in(emr, second, again["Id"], "COMPLETED")
    assert run.wait_for_step(cluster_id, step_id, "true") == second


def test_a_task_that_was_cut_off_once_it_had_ended_the_first_cluster_goes_on(
    aws: LocalAws, emr: BaseClient
) -> None:
    run = Run("cut-off")
    cluster_id, step_id = run.add(run.created, "sleep", "600")
    step_in(emr, cluster_id, step_id, "RUNNING")
    control = Control(aws.emr_url)
    control.cause(cluster_id, ReclaimSpot(role="CORE", count=1))
    control.cause(cluster_id, FailStep())
    step_in(emr, cluster_id, step_id, "FAILED")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    with pytest.raises(TaskDeferred):
        run.wait_for_step(cluster_id, step_id, "true")
    second_of(emr, lost=cluster_id)


def test_of_two_that_raced_for_the_second_cluster_the_older_stays(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("raced")
    lose(aws, emr, run.created)
    parameters = RunParameters(bucket=BUCKET, spot="on-demand")
    both = [
        emr.run_job_flow(
            **job_flow(parameters, Deployment(), HARD_LIFETIME, DAG_ID, run.run_id, run.created)
        )["JobFlowId"]
        for _ in range(2)
    ]
    assert run.add(run.created, "true")[0] == both[0]
    cluster_in(emr, both[1], "TERMINATED")


def test_a_node_that_was_lost_before_the_step_began_is_no_reason_to_repeat_it(
    aws: LocalAws, emr: BaseClient
) -> None:
    run = Run("earlier-loss")
    cluster_in(emr, run.created, "WAITING")
    Control(aws.emr_url).cause(run.created, ReclaimSpot(role="CORE", count=1))
    cluster_id, step_id = run.add(run.created, "false")
    step_in(emr, cluster_id, step_id, "FAILED")
    with pytest.raises(AirflowFailException, match="is FAILED"):
        run.wait_for_step(cluster_id, step_id, "false")


def test_a_cluster_that_is_lost_before_its_step_is_replaced_when_the_step_is_added(
    aws: LocalAws, emr: BaseClient
) -> None:
    run = Run("lost-idle")
    lose(aws, emr, run.created)
    second, step_id = run.add(run.created, "true")
    assert second == second_of(emr, lost=run.created)
    step_in(emr, second, step_id, "COMPLETED")
    assert run.wait_for_step(second, step_id, "true") == second


def test_where_capacity_never_comes_the_run_waits_for_nodes_on_demand(aws: LocalAws, emr: BaseClient) -> None:
    Control(aws.emr_url).set_factors(Factors(time_factor=TIME_FACTOR, limit_factor=TIME_FACTOR))
    Control(aws.emr_url).cause_later(WithholdSpot(), state="STARTING")
    run = Run("no-capacity", spot_timeout_minutes=5)
    cluster_in(emr, run.created, "TERMINATED_WITH_ERRORS")
    Control(aws.emr_url).set_factors(Factors(time_factor=TIME_FACTOR))
    with pytest.raises(TaskDeferred):
        run.wait_for_cluster()
    second = second_of(emr, lost=run.created)
    cluster_in(emr, second, "WAITING")
    assert run.wait_for_cluster() == second


def test_a_second_cluster_that_is_lost_is_the_end(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("lost-twice")
    lose(aws, emr, run.created)
    second, step_id = run.add(run.created, "sleep", "600")
    step_in(emr, second, step_id, "RUNNING")
    lose(aws, emr, second, LosePrimary())
    with pytest.raises(AirflowFailException, match=f"Cluster {second} is TERMINATED_WITH_ERRORS"):
        run.wait_for_step(second, step_id, "sleep", "600")
    assert alive(emr) == []


def test_no_third_cluster_comes_even_where_spot_has_taken_the_second(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("no-third")
    lose(aws, emr, run.created)
    on_spot = job_flow(
        RunParameters(bucket=BUCKET), Deployment(), HARD_LIFETIME, DAG_ID, run.run_id, run.created
    )
    second = emr.run_job_flow(**on_spot)["JobFlowId"]
    assert run.add(run.created, "sleep", "600")[0] == second
    lose(aws, emr, second)
    waiting = run._task(ClusterReadySensor, job_flow_id=second, poke_interval=0)
    with pytest.raises(AirflowFailException, match=f"Cluster {second} is TERMINATED_WITH_ERRORS"):
        waiting.execute(run._context())
    assert alive(emr) == []


@pytest.mark.parametrize(
    "changes", [{"on_spot_loss": "fail"}, {"spot": "on-demand"}], ids=["not wanted", "not on Spot"]
)
def test_a_lost_cluster_is_the_end_where_none_is_to_replace_it(
    aws: LocalAws, emr: BaseClient, changes: dict[str, Any]
) -> None:
    run = Run(f"not-replaced-{'-'.join(changes)}", **changes)
    lose(aws, emr, run.created, LosePrimary())
    with pytest.raises(AirflowFailException, match="INSTANCE_FAILURE"):
        run.wait_for_cluster()
    assert alive(emr) == []


def test_a_cluster_that_somebody_ended_is_not_replaced(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("ended")
    cluster_in(emr, run.created, "WAITING")
    Control(aws.emr_url).cause(run.created, ReclaimSpot(role="CORE", count=1))
    emr.terminate_job_flows(JobFlowIds=[run.created])
    cluster_in(emr, run.created, "TERMINATED")
    with pytest.raises(AirflowFailException, match="USER_REQUEST"):
        run.wait_for_cluster()
    assert alive(emr) == []


def test_a_step_that_fails_with_all_nodes_there_is_not_repeated(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("failed-step")
    cluster_id, step_id = run.add(run.created, "false")
    step_in(emr, cluster_id, step_id, "FAILED")
    with pytest.raises(AirflowFailException, match="is FAILED"):
        run.wait_for_step(cluster_id, step_id, "false")
    assert [cluster["Id"] for cluster in alive(emr)] == [cluster_id]


def test_both_clusters_together_live_no_longer_than_one_may() -> None:
    parameters = RunParameters(max_hours=3, primary_market="spot")
    created = datetime(2026, 11, 29, 8, tzinfo=UTC)
    lost = {"Status": {"Timeline": {"CreationDateTime": created}}}
    rest = spot_loss.for_the_rest(parameters, lost, created + timedelta(hours=1))
    assert rest is not None
    assert (rest.max_hours, rest.spot, rest.market_of_primary) == (2.0, "on-demand", "on-demand")
    # Nodes that shut themselves down at the end of their lifetime look as if they were lost.
    assert spot_loss.for_the_rest(parameters, lost, created + timedelta(hours=3)) is None
    assert spot_loss.for_the_rest(parameters, lost, created + timedelta(hours=2.9)) is None


def test_the_second_cluster_is_asked_for_with_what_is_left(aws: LocalAws, emr: BaseClient) -> None:
    run = Run("the-rest", max_hours=2.0)
    lose(aws, emr, run.created)
    second, _ = run.add(run.created, "true")
    [action] = emr.list_bootstrap_actions(ClusterId=second)["BootstrapActions"]
    assert action["ScriptPath"] == HARD_LIFETIME
    assert 118 <= int(action["Args"][0]) <= 120
    assert 1.9 < float(tags_of(alive(emr)[0])["max_hours"]) < 2
