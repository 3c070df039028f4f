"""A cluster stays for people only after success, for its minutes, and every layer knows when that is over."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from botocore.client import BaseClient

from chaos.task_context import context
from fruit_pipeline.cluster import cluster_request, facts, interactive, reaper
from fruit_pipeline.cluster.identity import FEATURIZE, REDUCE, TRAIN, cluster_name, cluster_tags
from fruit_pipeline.dag.operators import TerminateClusterOperator
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws.control import Control
from local_aws.faults import Error, Fault
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import ENDED, TIME_FACTOR, cluster_in, job_flow, step, step_in

MINUTES = 60
GONE = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")
ALIVE = ("RUNNING", "WAITING")


@pytest.fixture(autouse=True)
def _clients_of_local_aws(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    yield
    Control(aws.emr_url).clear()


@pytest.fixture
def worked(emr: BaseClient) -> Callable[..., str]:
    """Makes a cluster of run-1 with interactive minutes, whose steps (name, command) have ended."""

    def make(
        *steps: tuple[str, str], minutes: str = str(MINUTES), max_hours: str = "4", last: str = TRAIN
    ) -> str:
        tags = cluster_tags("fruits", "fruit_features", "run-1")
        tags |= {"max_hours": max_hours, interactive.TAG: minutes, interactive.LAST_STEP: last}
        cluster_id: str = emr.run_job_flow(
            **job_flow(
                Name=cluster_name("fruit_features", "run-1"),
                Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
            )
        )["JobFlowId"]
        for name, command in steps:
            [step_id] = emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step(command) | {"Name": name}])[
                "StepIds"
            ]
            step_in(emr, cluster_id, step_id, *ENDED)
        cluster_in(emr, cluster_id, "WAITING")
        return cluster_id

    return make


SUCCEEDED = ((FEATURIZE, "true"), (REDUCE, "true"), (TRAIN, "true"))
FAILED = ((FEATURIZE, "true"), (REDUCE, "true"), (TRAIN, "false"))
UNTRAINED = ((FEATURIZE, "true"), (REDUCE, "true"))


def state_of(emr: BaseClient, cluster_id: str) -> str:
    return str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


def swept(emr: BaseClient, later: timedelta, alive: bool | None = False) -> reaper.Sweep:
    is_alive = None if alive is None else lambda dag_id, run_id: alive
    return reaper.sweep([("eu-west-1", emr)], "fruits", datetime.now(UTC) + later, is_alive, dry_run=False)


def torn_down(
    *, after: str | None, pca: str | None = "success", classifier: str = "linear"
) -> dict[str, str]:
    """Run the teardown, with a last task before it that ended in the state ``after``."""
    with DAG("fruit_features", schedule=None):
        wait_for_train = EmptyOperator(task_id="wait_for_train")
        terminate_cluster = TerminateClusterOperator(
            task_id="terminate_cluster", poll_seconds=0, aws_conn_id=None, region_name="eu-west-1"
        )
        wait_for_train >> terminate_cluster
    seen = context()
    seen["params"]["classifier"] = classifier
    seen["ti"].get_task_states = lambda dag_id, run_ids: {
        run_ids[0]: {"wait_for_train": after, "wait_for_pca": pca, "create_cluster": "success"}
    }
    return terminate_cluster.execute(seen)


# --- layer 1: the teardown ----------------------------------------------------------------------------


def test_the_teardown_leaves_the_cluster_of_a_success_and_says_until_when(
    emr: BaseClient, worked: Callable[..., str]
) -> None:
    cluster_id = worked(*SUCCEEDED)
    stays = torn_down(after="success")
    assert state_of(emr, cluster_id) in ALIVE
    end = datetime.fromisoformat(stays[cluster_id])
    assert timedelta(minutes=MINUTES - 2) < end - datetime.now(UTC) <= timedelta(minutes=MINUTES)


@pytest.mark.parametrize("after", ["failed", "skipped", "upstream_failed", None])
def test_the_teardown_ends_the_cluster_of_a_run_whose_work_was_not_done(
    emr: BaseClient, worked: Callable[..., str], after: str | None
) -> None:
    """Marked failed by a person, for example, though the steps were through."""
    cluster_id = worked(*SUCCEEDED)
    assert torn_down(after=after) == {}
    assert state_of(emr, cluster_id) == "TERMINATED"


@pytest.mark.parametrize(("pca", "stays"), [("success", True), ("failed", False), ("skipped", False)])
def test_without_a_classifier_the_pca_is_the_work_that_counts(
    emr: BaseClient, worked: Callable[..., str], pca: str, stays: bool
) -> None:
    cluster_id = worked(*UNTRAINED, last=REDUCE)
    assert bool(torn_down(after="skipped", pca=pca, classifier="none")) is stays
    assert (state_of(emr, cluster_id) in ALIVE) is stays


@pytest.mark.parametrize(
    ("steps", "minutes"), [(FAILED, "60"), (UNTRAINED, "60"), (SUCCEEDED, "0"), (SUCCEEDED, "x")]
)
def test_the_teardown_ends_a_cluster_that_has_no_interactive_time(
    emr: BaseClient, worked: Callable[..., str], steps: Any, minutes: str
) -> None:
    cluster_id = worked(*steps, minutes=minutes)
    assert torn_down(after="success") == {}
    assert state_of(emr, cluster_id) == "TERMINATED"


def test_where_emr_does_not_say_no_cluster_stays(
    aws: LocalAws, emr: BaseClient, worked: Callable[..., str]
) -> None:
    cluster_id = worked(*SUCCEEDED)
    fault = Error(status=400, code="AccessDeniedException", message="no")
    Control(aws.emr_url).add_fault(Fault(service="emr", operation="ListSteps", effect=fault))
    assert torn_down(after="success") == {}
    assert state_of(emr, cluster_id) == "TERMINATED"


# --- layer 2: the cluster by itself -------------------------------------------------------------------


@pytest.fixture
def by_itself(emr: BaseClient, s3: BaseClient, bucket: str) -> Callable[..., str]:
    """Makes the cluster that the pipeline asks for, with its bootstrap action; nobody looks after it."""
    deployment = Deployment()
    script = deployment.code_dir / "bootstrap" / "hard_lifetime.sh"

    def make(**changes: Any) -> str:
        s3.put_object(Bucket=bucket, Key="hard_lifetime.sh", Body=script.read_bytes())
        parameters, address = RunParameters(bucket=bucket, **changes), f"s3://{bucket}/hard_lifetime.sh"
        request = cluster_request.job_flow(parameters, deployment, address, "fruit_features", "run-1")
        return str(emr.run_job_flow(**request)["JobFlowId"])

    return make


def test_unused_it_ends_itself_after_its_minutes(emr: BaseClient, by_itself: Callable[..., str]) -> None:
    cluster_id = by_itself(interactive_minutes=MINUTES)
    assert cluster_in(emr, cluster_id, "WAITING")
    ended = cluster_in(emr, cluster_id, "TERMINATED")
    assert ended["Status"]["StateChangeReason"]["Message"].endswith(f"idle for {60 * MINUTES} seconds")


def test_in_use_it_ends_itself_at_its_lifetime_with_its_minutes(
    emr: BaseClient, by_itself: Callable[..., str]
) -> None:
    cluster_id = by_itself(max_hours=0.5, max_start_minutes=30, interactive_minutes=MINUTES)
    emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("sleep", "600") | {"Name": "mine"}])
    ended = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]
    assert ended["StateChangeReason"]["Code"] == "INSTANCE_FAILURE"
    life = ended["Timeline"]["EndDateTime"] - ended["Timeline"]["CreationDateTime"]
    assert life.total_seconds() * TIME_FACTOR >= 60 * (30 + MINUTES)


# --- layers 3 and 4: the reaper -----------------------------------------------------------------------


@pytest.mark.parametrize("alive", [False, None], ids=["airflow knows the run is over", "airflow is gone"])
def test_the_reaper_leaves_it_for_its_minutes_and_then_ends_it(
    emr: BaseClient, worked: Callable[..., str], alive: bool | None
) -> None:
    cluster_id = worked(*SUCCEEDED)
    before = swept(emr, timedelta(minutes=MINUTES - 2), alive)
    assert before.terminated == []
    assert "it is interactive until" in str(before.findings[0])
    after = swept(emr, timedelta(minutes=MINUTES), alive)
    assert after.terminated == [cluster_id]
    assert "its interactive time ended at" in str(after.findings[0])


@pytest.mark.parametrize("steps", [FAILED, UNTRAINED, ()])
def test_the_reaper_ends_it_at_once_when_its_steps_did_not_succeed(
    emr: BaseClient, worked: Callable[..., str], steps: Any
) -> None:
    cluster_id = worked(*steps)
    assert swept(emr, timedelta()).terminated == [cluster_id]


def test_a_step_of_somebody_else_does_not_lengthen_it(emr: BaseClient, worked: Callable[..., str]) -> None:
    cluster_id = worked(*SUCCEEDED)
    shown = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    end = interactive.until(emr, shown)
    for name in (TRAIN, REDUCE, "mine"):
        [mine] = emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("true") | {"Name": name}])[
            "StepIds"
        ]
        step_in(emr, cluster_id, mine, "COMPLETED")
    assert interactive.until(emr, shown) == end


def test_it_is_over_age_whatever_its_minutes_say(emr: BaseClient, worked: Callable[..., str]) -> None:
    cluster_id = worked(*SUCCEEDED, minutes="999999", max_hours="0.5")
    assert swept(emr, timedelta(minutes=41)).terminated == [cluster_id]


def test_the_reaper_ends_what_emr_does_not_say_may_stay(
    aws: LocalAws, emr: BaseClient, worked: Callable[..., str]
) -> None:
    cluster_id = worked(*SUCCEEDED)
    fault = Error(status=400, code="AccessDeniedException", message="no")
    Control(aws.emr_url).add_fault(Fault(service="emr", operation="ListSteps", effect=fault))
    assert swept(emr, timedelta()).terminated == [cluster_id]


# --- the report ---------------------------------------------------------------------------------------


def test_the_report_says_until_when_it_stays(emr: BaseClient, worked: Callable[..., str]) -> None:
    cluster_id = worked(*SUCCEEDED)
    cluster = facts.cluster_facts(emr, cluster_id)
    assert cluster["interactive_until"] is not None
    assert datetime.fromisoformat(cluster["interactive_until"]) > datetime.now(UTC)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    assert facts.cluster_facts(emr, cluster_id)["interactive_until"] is None
