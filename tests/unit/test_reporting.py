"""The report says what is known of a run, and names the task that failed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fruit_contract.report import ClusterFacts, Encryption, Report, TaskTime
from fruit_pipeline import billing, reporting
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters

START = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER = ClusterFacts(
    id="j-1",
    release="emr-7.13.0",
    final_state="TERMINATED",
    instances=[],
)

COST = billing.cost_of(
    CLUSTER,
    {},
    None,
    Deployment(),
    estimated=None,
    run_key="r",
    started_at=START,
    pricing=None,
    ec2=None,
    now=START,
)


def task(name: str, state: str) -> TaskTime:
    return TaskTime(name=name, seconds=1.0, state=state)


def built(tasks: list[TaskTime], **known: Any) -> Report:
    nothing: dict[str, Any] = {"found": None, "featurized": None, "reduced": None}
    return reporting.build_report(
        run_id="r",
        started_at=START,
        parameters=RunParameters().model_dump(),
        tasks=tasks,
        cluster=CLUSTER,
        cost=COST,
        encryption=Encryption(bucket=None, objects=None, cluster=None, not_seen={}),
        **{**nothing, **known},
    )


def test_a_run_that_got_nowhere_still_has_every_field() -> None:
    report = built([task("plan", "failed")])
    assert set(report) == Report.__required_keys__
    assert report["state"] == "failed"
    assert report["images"]["found"] == 0
    assert report["explained_variance"] is None


def test_a_failure_names_the_task_and_not_those_that_waited_for_it() -> None:
    report = built([task("plan", "success"), task("verify", "failed"), task("publish", "upstream_failed")])
    assert report["failure"] == "The run failed in verify: its log says why."


def test_a_successful_run_has_no_failure() -> None:
    report = built([task("plan", "success")], found=3)
    assert (report["state"], report["failure"], report["images"]["found"]) == ("success", None, 3)


def test_tasks_are_told_in_the_order_of_the_dag() -> None:
    crumbs = [{"task_id": name, "duration": 1.5, "state": "success"} for name in ("report", "plan")]
    assert [entry["name"] for entry in reporting.task_times(crumbs, ["plan", "guards", "report"])] == [
        "plan",
        "report",
    ]


def test_an_instance_has_its_life_and_its_hours_when_it_has_ended() -> None:
    begun = reporting._life({"CreationDateTime": START})
    assert (begun["created"], begun["ended"], begun["hours"]) == (START.isoformat(), None, None)
    ended = reporting._life({"CreationDateTime": START, "EndDateTime": START + timedelta(minutes=30)})
    assert ended["hours"] == 0.5
