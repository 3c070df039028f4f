"""The pipeline's own operators: one cluster a run whatever happens, and sensors that go by EMR's answer."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred
from botocore.client import BaseClient

from chaos.task_context import BUCKET, context
from fruit_contract.layout import DAG_ID
from fruit_pipeline.cluster.identity import cluster_name, cluster_tags
from fruit_pipeline.dag.operators import (
    AddStepOperator,
    ClusterReadySensor,
    CreateClusterOperator,
    StepSensor,
    TerminateClusterOperator,
)
from fruit_pipeline.results.claims import Owner, claim, seal
from fruit_pipeline.settings.deployment import Deployment
from local_aws.control import Control
from local_aws.emr.outside_events import Hold, LosePrimary
from local_aws.faults import CauseEvent, Drop, Fault, Throttle
from local_aws.server import LocalAws
from local_run import local_account
from tests.dev.local_aws.emr_client import cluster_in, job_flow, step, step_in

AWS: dict[str, Any] = {"aws_conn_id": None, "region_name": "eu-west-1"}


@pytest.fixture(autouse=True)
def _clients_of_local_aws(aws: LocalAws, s3: BaseClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    local_account.create_bucket(s3, BUCKET, "eu-west-1")
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    yield
    Control(aws.emr_url).clear()


def request(run_id: str = "run-1", **changes: Any) -> dict[str, Any]:
    tags = cluster_tags("fruits", "fruit_features", run_id)
    return job_flow(
        Name=cluster_name("fruit_features", run_id),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        **changes,
    )


def create(run_id: str = "run-1", try_number: int = 1) -> str:
    operator = CreateClusterOperator(
        task_id="create_cluster", job_flow_overrides=request(run_id), poll_seconds=0, **AWS
    )
    return operator.execute(context(run_id, try_number=try_number))


def alive(emr: BaseClient) -> list[str]:
    states = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
    return sorted(cluster["Id"] for cluster in emr.list_clusters(ClusterStates=states)["Clusters"])


def test_a_second_attempt_adopts_the_cluster_of_the_first(emr: BaseClient) -> None:
    assert create() == create()
    assert len(alive(emr)) == 1


def test_a_second_attempt_looks_again_for_a_cluster_whose_request_was_on_its_way(
    emr: BaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[str] = []
    monkeypatch.setattr(
        "fruit_pipeline.dag.operators.time.sleep",
        lambda _: late or late.append(emr.run_job_flow(**request())["JobFlowId"]),
    )
    assert create(try_number=2) == late[0]
    assert alive(emr) == late


def test_two_runs_get_a_cluster_each_and_end_their_own(emr: BaseClient) -> None:
    one, other = create("run-1"), create("run-2")
    assert one != other
    TerminateClusterOperator(task_id="end", poll_seconds=0, **AWS).execute(context("run-1", one))
    assert alive(emr) == [other]


def test_a_cluster_that_only_bears_the_runs_name_is_not_adopted(emr: BaseClient) -> None:
    stranger = emr.run_job_flow(**request() | {"Tags": []})["JobFlowId"]
    assert create() != stranger


def test_a_cluster_that_ends_already_is_not_adopted(emr: BaseClient) -> None:
    first = create()
    emr.terminate_job_flows(JobFlowIds=[first])
    assert create() != first


def test_two_attempts_that_raced_each_other_settle_on_the_older_cluster(emr: BaseClient) -> None:
    older = emr.run_job_flow(**request())["JobFlowId"]
    younger = emr.run_job_flow(**request())["JobFlowId"]
    assert create() == older
    cluster_in(emr, younger, "TERMINATED")
    assert alive(emr) == [older]


def test_a_cluster_that_has_ended_before_it_is_looked_at_fails_for_good_with_emrs_reason(
    aws: LocalAws, emr: BaseClient
) -> None:
    """A retry would make another, and it would end like the first."""
    control = Control(aws.emr_url)
    ending = CauseEvent(event=LosePrimary())
    control.add_fault(Fault(service="emr", operation="RunJobFlow", effect=ending))
    with pytest.raises(AirflowFailException, match=r"is TERMINAT\w+: INSTANCE_FAILURE"):
        create()
    assert control.logged_calls("emr").took_effect("RunJobFlow") == 1


def test_a_cluster_that_is_not_listed_yet_is_the_runs_all_the_same(
    emr: BaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fruit_pipeline.dag.operators.clusters_of_run", lambda *_: iter(()))
    assert [create()] == alive(emr)


def test_a_step_is_added_once(emr: BaseClient) -> None:
    cluster_id = create()
    operator = AddStepOperator(
        task_id="add", job_flow_id=cluster_id, step=step("true"), poll_seconds=0, **AWS
    )
    assert operator.execute(context()) == operator.execute(context())
    assert len(emr.list_steps(ClusterId=cluster_id)["Steps"]) == 1


def test_no_step_is_added_to_a_run_whose_result_was_published(emr: BaseClient, s3: BaseClient) -> None:
    owner = Owner(Deployment().installation, DAG_ID, "published")
    seal(s3, claim(s3, BUCKET, owner), owner)
    cluster_id = create()
    operator = AddStepOperator(
        task_id="add", job_flow_id=cluster_id, step=step("true"), poll_seconds=0, **AWS
    )
    with pytest.raises(AirflowFailException, match="was published, and stays as it is"):
        operator.execute(context("published"))
    assert emr.list_steps(ClusterId=cluster_id)["Steps"] == []


def test_the_teardown_finds_by_tag_what_xcom_has_lost(emr: BaseClient) -> None:
    cluster_id = create()
    emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=True)
    TerminateClusterOperator(task_id="end", poll_seconds=0, **AWS).execute(context(cluster_id=None))
    assert emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"] == "TERMINATED"


def test_the_teardown_looks_again_for_a_cluster_whose_request_was_on_its_way(
    emr: BaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[str] = []

    def pause(_: float) -> None:
        if not late:
            late.append(emr.run_job_flow(**request())["JobFlowId"])

    monkeypatch.setattr("fruit_pipeline.dag.operators.time.sleep", pause)
    TerminateClusterOperator(task_id="end", poll_seconds=0, **AWS).execute(context(create_state="failed"))
    assert emr.describe_cluster(ClusterId=late[0])["Cluster"]["Status"]["State"] in (
        "TERMINATED",
        "TERMINATED_WITH_ERRORS",
    )


@pytest.fixture
def sensor(emr: BaseClient) -> Callable[..., StepSensor]:
    def of(*command: str) -> StepSensor:
        cluster_id = create()
        [step_id] = emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step(*command)])["StepIds"]
        return StepSensor(
            task_id="wait", job_flow_id=cluster_id, step_id=step_id, step=None, poke_interval=0, **AWS
        )

    return of


@pytest.mark.parametrize(
    "wake",
    [
        lambda sensor: sensor.execute_complete(context(), {"status": "success"}),
        lambda sensor: sensor.resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger failure"}, context()),
    ],
    ids=["too early", "by a trigger that failed"],
)
def test_a_sensor_that_is_woken_for_nothing_defers_again(
    sensor: Callable[..., StepSensor], wake: Callable[[StepSensor], Any]
) -> None:
    waiting = sensor("sleep", "600")
    with pytest.raises(TaskDeferred):
        wake(waiting)


def test_a_sensor_whose_trigger_failed_is_done_when_the_step_is(
    sensor: Callable[..., StepSensor], emr: BaseClient
) -> None:
    waiting = sensor("true")
    step_in(emr, waiting.job_flow_id, waiting.step_id, "COMPLETED")
    done = waiting.resume_execution(TRIGGER_FAIL_REPR, {"error": "Trigger timeout"}, context())
    assert done == waiting.job_flow_id
    assert waiting.trigger_failed


def test_a_failed_step_fails_the_sensor_for_good(sensor: Callable[..., StepSensor], emr: BaseClient) -> None:
    waiting = sensor("false")
    step_in(emr, waiting.job_flow_id, waiting.step_id, "FAILED")
    with pytest.raises(AirflowFailException) as failed:
        waiting.execute_complete(context(), {"status": "success"})
    assert str(failed.value) == f"Step a step ({waiting.step_id}) is FAILED: Unknown Error."


def test_a_failed_step_says_its_own_words_and_where_its_log_is() -> None:
    waiting = StepSensor(task_id="wait", job_flow_id="j-1", step_id="s-1", step=None, **AWS)
    details = {"Reason": "Unknown Error.", "Message": "Set components to 30.", "LogFile": "s3://b/stderr.gz"}
    status = {"State": "FAILED", "FailureDetails": details}
    assert waiting.failure({"Step": {"Id": "s-1", "Name": "reduce", "Status": status}}) == (
        "Step reduce (s-1) is FAILED: Set components to 30. Its log is s3://b/stderr.gz."
    )


def test_a_cancelled_step_is_named_with_its_state(sensor: Callable[..., StepSensor], emr: BaseClient) -> None:
    waiting = sensor("sleep", "600")
    step_in(emr, waiting.job_flow_id, waiting.step_id, "RUNNING")
    emr.cancel_steps(
        ClusterId=waiting.job_flow_id,
        StepIds=[waiting.step_id],
        StepCancellationOption="TERMINATE_PROCESS",
    )
    step_in(emr, waiting.job_flow_id, waiting.step_id, "CANCELLED")
    with pytest.raises(AirflowFailException) as failed:
        waiting.execute_complete(context(), {"status": "success"})
    said = rf"Step a step \({waiting.step_id}\) is CANCELLED: .+\. Cluster {waiting.job_flow_id} is [A-Z]+.*"
    assert re.fullmatch(said, str(failed.value)), failed.value


def test_a_step_that_was_lost_with_its_cluster_says_why_the_cluster_ended(
    sensor: Callable[..., StepSensor], aws: LocalAws, emr: BaseClient
) -> None:
    waiting = sensor("sleep", "600")
    step_in(emr, waiting.job_flow_id, waiting.step_id, "RUNNING")
    Control(aws.emr_url).cause(waiting.job_flow_id, LosePrimary())
    step_in(emr, waiting.job_flow_id, waiting.step_id, "CANCELLED")
    cluster_in(emr, waiting.job_flow_id, "TERMINATED_WITH_ERRORS")
    with pytest.raises(AirflowFailException) as failed:
        waiting.execute_complete(context(), {"status": "success"})
    assert re.match(rf"Step a step \({waiting.step_id}\) is CANCELLED: ", str(failed.value))
    ended = f"Cluster {waiting.job_flow_id} is TERMINATED_WITH_ERRORS: INSTANCE_FAILURE: "
    assert ended in str(failed.value)


def test_a_sensor_looks_again_when_its_limit_is_reached(sensor: Callable[..., StepSensor]) -> None:
    waiting = sensor("sleep", "600")
    with pytest.raises(TaskDeferred) as soon:
        waiting.execute(context(max_step_hours=0.01))
    with pytest.raises(TaskDeferred) as later:
        waiting.execute(context(max_step_hours=2))
    assert timedelta(seconds=1) < soon.value.timeout < timedelta(minutes=1)
    assert later.value.timeout == timedelta(minutes=10)


def test_a_step_that_outlives_its_limit_fails_the_sensor(sensor: Callable[..., StepSensor]) -> None:
    waiting = sensor("sleep", "600")
    with pytest.raises(AirflowFailException, match="is not done after max_step_hours 1e-09"):
        waiting.execute(context(max_step_hours=1e-9))


def test_a_cluster_that_does_not_start_in_time_fails_the_sensor(aws: LocalAws) -> None:
    Control(aws.emr_url).cause_later(Hold(), state="STARTING")
    waiting = ClusterReadySensor(task_id="wait", job_flow_id=create(), poke_interval=0, **AWS)
    with pytest.raises(AirflowFailException, match="after max_start_minutes 1e-09"):
        waiting.execute(context(max_start_minutes=1e-9))


def test_a_cluster_that_ended_fails_the_sensor_though_its_trigger_says_success(emr: BaseClient) -> None:
    cluster_id = create()
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    waiting = ClusterReadySensor(task_id="wait", job_flow_id=cluster_id, poke_interval=0, **AWS)
    with pytest.raises(AirflowFailException, match="USER_REQUEST"):
        waiting.execute_complete(context(), {"status": "success"})


def test_a_lost_answer_of_run_job_flow_makes_no_second_cluster(aws: LocalAws, emr: BaseClient) -> None:
    control = Control(aws.emr_url)
    control.add_fault(Fault(service="emr", operation="RunJobFlow", calls=1, effect=Drop()))
    assert [create()] == alive(emr)
    assert control.logged_calls("emr").took_effect("RunJobFlow") == 1


def test_a_throttled_run_job_flow_is_asked_for_again(aws: LocalAws, emr: BaseClient) -> None:
    control = Control(aws.emr_url)
    control.add_fault(Fault(service="emr", operation="RunJobFlow", calls=3, effect=Throttle()))
    assert [create()] == alive(emr)


def test_a_lost_answer_of_add_job_flow_steps_makes_no_second_step(aws: LocalAws, emr: BaseClient) -> None:
    control, cluster_id = Control(aws.emr_url), create()
    control.add_fault(Fault(service="emr", operation="AddJobFlowSteps", calls=1, effect=Drop()))
    operator = AddStepOperator(
        task_id="add", job_flow_id=cluster_id, step=step("true"), poll_seconds=0, **AWS
    )
    operator.execute(context())
    assert len(emr.list_steps(ClusterId=cluster_id)["Steps"]) == 1


def test_a_request_that_emr_refuses_is_not_made_again(control: Control) -> None:
    operator = CreateClusterOperator(
        task_id="create_cluster",
        job_flow_overrides=request() | {"ReleaseLabel": "emr-0.0.0"},
        poll_seconds=0,
        **AWS,
    )
    with pytest.raises(AirflowFailException, match=r"EMR refuses the request: .*release label"):
        operator.execute(context())
    assert control.logged_calls("emr").seen("RunJobFlow") == 1
