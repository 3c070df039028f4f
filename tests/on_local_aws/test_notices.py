"""People are told of each event once, by the DAGs' own tasks, through a topic that a queue subscribes to."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Final
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred
from botocore.client import BaseClient

from chaos.task_context import BUCKET, context
from fruit_contract.layout import LATEST_KEY, RunLayout
from fruit_pipeline.cluster.identity import cluster_name, cluster_tags
from fruit_pipeline.dag import red_run, run_context, tasks
from fruit_pipeline.dag.failures import FAILURE, REPORT
from fruit_pipeline.drops import drop_tasks
from fruit_pipeline.results.publication import write_json
from fruit_pipeline.settings.parameters import RunParameters
from local_aws.control import Control
from local_aws.faults import Error, Fault
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import client, cluster_in, job_flow, step_in
from tests.fruit_pipeline.conftest import planned
from tests.mailbox import Mailbox
from tests.on_local_aws.test_spot_loss import (
    ESTIMATE,
    Run,
    _local_aws,  # noqa: F401 - a fixture, for these tests too
    lose,
    second_of,
)

CURRENT: Final = {"run_key": "older", "run_id": "older", "published_at": "2026-11-28T03:20:00+00:00"}
UI: Final = "http://airflow.example.org"


@pytest.fixture
def mailbox(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    made = Mailbox.subscribed(client(aws, "sns"), client(aws, "sqs"), f"notices-{uuid4()}")
    monkeypatch.setenv("FRUITS_NOTIFY", made.notify)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", UI)
    return made


class InRun:
    """One run as its tasks see it: what they hand on stays, and so does what Airflow remembers for them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, run_id: str, **changes: Any) -> None:
        self.handed_on: dict[tuple[str, str], Any] = {}
        self.ended: list[dict[str, Any]] = []
        self.memory: dict[str, Any] = {}
        self.run_type = "manual"
        self.run_id, self.values = run_id, RunParameters(bucket=BUCKET, **changes).model_dump()
        for module in (run_context, tasks, drop_tasks):
            monkeypatch.setattr(module, "get_current_context", self.context)

    def context(self, task_id: str = REPORT, **more: Any) -> Any:
        made = context(self.run_id, handed_on=self.handed_on, **self.values)
        now, ti = datetime.now(UTC), made["ti"]
        ti.get_dr_count = lambda *_, **__: 0
        ti.get_task_breadcrumbs = lambda *_: self.ended
        ti.xcom_push = lambda key, value: self.handed_on.__setitem__((task_id, key), value)
        dag = made["dag"]
        dag.task_ids = ["plan", "verify", REPORT]
        dag.topological_sort = lambda: [
            SimpleNamespace(task_id=name, upstream_task_ids=set()) for name in dag.task_ids
        ]
        run_type = SimpleNamespace(value=self.run_type)
        return {
            **made,
            "dag_run": SimpleNamespace(run_type=run_type, start_date=now, run_after=now),
            "task_state_store": SimpleNamespace(get=self.memory.get, set=self.memory.__setitem__),
            **more,
        }

    def fails(self, task_id: str, said: str) -> None:
        now = datetime.now(UTC)
        crumb = {"task_id": task_id, "state": "failed", "start_date": now, "end_date": now, "duration": 1.0}
        self.ended.append(crumb)
        self.handed_on[task_id, FAILURE] = said

    def report(self) -> None:
        """As Airflow runs it: what it fails with is left by the task's on_failure_callback."""
        try:
            tasks.report()
        except AirflowFailException as error:
            self.handed_on[REPORT, FAILURE] = str(error)
            raise


@pytest.fixture
def in_run(monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda run_id, **changes: InRun(monkeypatch, run_id, **changes)


def test_a_red_run_is_told_with_its_sentence_its_cost_and_what_is_current(
    mailbox: Mailbox, in_run: Any, s3: Any
) -> None:
    write_json(s3, BUCKET, LATEST_KEY, CURRENT)
    run = in_run("red 1")
    run.fails("verify", "3 photos have no row.")
    with pytest.raises(AirflowFailException):
        run.report()
    assert mailbox.letters() == [], "the DAG tells, when the run has ended"
    red_run.tell(run.context(reason="task_failure"))
    [(subject, message)] = mailbox.letters()
    assert subject == "fruit_features: a run is red"
    for line in (
        "The run failed in verify: 3 photos have no row. The report is s3://fruits-chaos/Results/reports/run=",
        "Run: red 1 of fruit_features",
        "Cluster: none",
        "Cost: nothing",
        "Current result: that of run older, of 2026-11-28T03:20:00+00:00",
        f"Look: {UI}/dags/fruit_features/runs/red%201",
        "What to do: fix the cause, then trigger a new run.",
    ):
        assert line in message


@pytest.mark.parametrize("left", [{}, {("plan", FAILURE): "no photos"}], ids=["no word", "before report"])
def test_a_run_whose_report_never_ran_is_told_all_the_same(
    mailbox: Mailbox, in_run: Any, left: dict[tuple[str, str], str]
) -> None:
    run = in_run("silent")
    run.handed_on.update(left)
    red_run.tell(run.context(reason="all_tasks_deadlocked"))
    [(_, message)] = mailbox.letters()
    said = "The run failed in plan: no photos." if left else "Airflow says: all_tasks_deadlocked."
    assert said in message
    assert "Current result: that of the last green run, as before" in message


def test_a_run_of_which_airflow_knows_no_task_is_told_all_the_same(mailbox: Mailbox, in_run: Any) -> None:
    told = in_run("unknown").context(reason="timed_out")
    red_run.tell({name: told[name] for name in ("dag", "run_id", "reason")})
    assert "Airflow says: timed_out." in mailbox.letters()[0][1]


def test_a_cluster_that_spot_took_is_told_once_whatever_becomes_of_the_tasks(
    aws: LocalAws, emr: BaseClient, mailbox: Mailbox
) -> None:
    run = Run("lost-and-told")
    cluster_id, step_id = run.add(run.created, "sleep", "600")
    step_in(emr, cluster_id, step_id, "RUNNING")
    lose(aws, emr, cluster_id)
    with pytest.raises(TaskDeferred):
        run.wait_for_step(cluster_id, step_id, "true")
    second = second_of(emr, lost=cluster_id)
    [(subject, message)] = mailbox.letters()
    assert subject == "fruit_features: a cluster was lost to Spot"
    assert f"EMR said of the first: Cluster {cluster_id} is TERMINATED_WITH_ERRORS: " in message
    assert f"Cluster: {second}, for what is left of max_hours" in message
    assert f"Cost: at most {ESTIMATE['estimate']:.2f} EUR for the whole run" in message
    # Woken, retried, or the next one: each task finds the second cluster by itself.
    [again] = emr.list_steps(ClusterId=second)["Steps"]
    step_in(emr, second, again["Id"], "COMPLETED")
    run.wait_for_step(cluster_id, step_id, "true")
    run.add(cluster_id, "true")
    assert mailbox.letters() == []


def cluster_of(emr: Any, run_id: str) -> str:
    tags = cluster_tags("fruits", "fruit_features", run_id)
    request = job_flow(
        Name=cluster_name("fruit_features", run_id),
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    made = str(emr.run_job_flow(**request)["JobFlowId"])
    cluster_in(emr, made, "WAITING")
    return made


def test_a_bill_well_above_what_was_expected_is_told_once(
    emr: BaseClient, mailbox: Mailbox, in_run: Any
) -> None:
    run = in_run("dear")
    cluster_id = cluster_of(emr, run.run_id)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    run.handed_on["plan", "return_value"] = planned(30, run_key="dear")
    run.handed_on["guards", "return_value"] = {**ESTIMATE, "expected": 0.001}
    for _ in range(2):
        run.report()
    [(subject, message)] = mailbox.letters()
    assert subject == "fruit_features: a run cost more than expected"
    assert "The run has cost 0.01 EUR, and 0.00 EUR was expected." in message
    assert f"Cluster: {cluster_id} (TERMINATED)" in message
    assert "s3://fruits-chaos/Results/reports/run=dear/report.json" in message


def test_a_bill_as_expected_is_not_told(emr: BaseClient, mailbox: Mailbox, in_run: Any) -> None:
    run = in_run("cheap")
    cluster_of(emr, run.run_id)
    run.handed_on["guards", "return_value"] = ESTIMATE
    run.report()
    assert mailbox.letters() == []


def test_a_drop_of_too_few_photos_is_told_that_it_waits(mailbox: Mailbox, in_run: Any) -> None:
    run = in_run("drop")
    run.values["min_new_images"] = 10
    for _ in range(2):
        with pytest.raises(AirflowSkipException):
            drop_tasks.announce_drop({"new": 2, "changed": 1, "deleted": 0})
    [(subject, message)] = mailbox.letters()
    assert subject.endswith(": photos wait")
    assert message.startswith("3 photos wait, fewer than min_new_images 10. They lie in s3://")


def test_a_look_that_finds_nothing_tells_nobody(mailbox: Mailbox, in_run: Any) -> None:
    in_run("no drop").values["min_new_images"] = 1
    with pytest.raises(AirflowSkipException):
        drop_tasks.announce_drop({"new": 0, "changed": 0, "deleted": 0})
    assert mailbox.letters() == []


@pytest.mark.parametrize(("run_type", "letters"), [("asset_triggered", 1), ("scheduled", 0)])
def test_a_drop_that_makes_no_result_yet_is_told_and_a_nightly_look_is_not(
    mailbox: Mailbox, in_run: Any, s3: Any, run_type: str, letters: int
) -> None:
    s3.put_object(Bucket=BUCKET, Key="Test/Apple/one.jpg", Body=b"photo")
    s3.delete_object(Bucket=BUCKET, Key=LATEST_KEY)
    run = in_run(f"few {run_type}")
    run.run_type = run_type
    run.handed_on["plan", "return_value"] = tasks.plan()
    for _ in range(2):
        assert tasks.check_guards() is None
    told = mailbox.letters()
    assert len(told) == letters
    assert all("There are 1 images, too few for components=256" in message for _, message in told)


def test_the_reaper_tells_what_it_ended_and_why(emr: BaseClient, mailbox: Mailbox, in_run: Any) -> None:
    run, orphan = in_run("sweep"), cluster_of(emr, "long gone")
    run.values["dry_run"] = False
    tasks.reap()
    [(subject, message)] = mailbox.letters()
    assert subject == "fruit_features: orphan clusters ended"
    assert f"The reaper has ended eu-west-1 {orphan} " in message
    assert "its run 'long gone' of 'fruit_features' is not alive" in message


def test_a_notifier_that_fails_leaves_the_run_as_it_is(
    emr: BaseClient, in_run: Any, s3: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("FRUITS_NOTIFY", "tests.fruit_pipeline.notices.test_telling.Broken")
    run = in_run("unheard")
    cluster_of(emr, run.run_id)
    run.handed_on["guards", "return_value"] = {**ESTIMATE, "expected": 0.0}
    run.report()
    assert s3.head_object(Bucket=BUCKET, Key=RunLayout(BUCKET, "unheard").report)
    assert run.handed_on[REPORT, red_run.FACTS]
    assert "Nobody could be told that a run cost more than expected" in caplog.text


def test_a_message_that_cannot_be_made_leaves_the_run_as_it_is(
    emr: BaseClient,
    mailbox: Mailbox,
    in_run: Any,
    s3: Any,
    control: Control,
    caplog: pytest.LogCaptureFixture,
) -> None:
    denied = Error(status=403, code="AccessDenied", message="Access Denied")
    control.add_fault(Fault(service="s3", operation="GetObject", key_prefix=LATEST_KEY, effect=denied))
    in_run("unreadable").report()
    assert s3.head_object(Bucket=BUCKET, Key=RunLayout(BUCKET, "unreadable").report)
    assert "Nobody could be told that the run has ended: An error occurred (AccessDenied)" in caplog.text
