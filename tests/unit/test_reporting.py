"""The report says what is known of a run, and names the task that failed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fruit_contract.report import ClusterFacts, Cost, Encryption, Report, TaskTime
from fruit_pipeline import reporting
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters

START = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER = ClusterFacts(
    id="j-1",
    release="emr-7.13.0",
    final_state="TERMINATED",
    instances=[{"id": "ci-1", "type": "m6g.large", "market": "SPOT", "hours": 2.0}],
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
        cost=Cost(currency="EUR", estimate=1.0, actual=None, lines=[]),
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


def test_an_instance_costs_ec2_emr_and_ebs_for_its_own_hours() -> None:
    cost = reporting.cost_of(CLUSTER, {}, Deployment(usd_per_eur=1.0), estimate=5.0)
    assert [line["service"].split()[0] for line in cost["lines"]] == ["EC2", "EMR", "EBS"]
    assert cost["actual"] == pytest.approx(2 * (0.086 + 0.0215) + 2 * 32 * 0.088 / 730)


def test_an_instance_without_an_end_costs_what_nobody_knows() -> None:
    assert reporting._hours({"CreationDateTime": START}) is None
    assert reporting._hours({"CreationDateTime": START, "EndDateTime": START + timedelta(minutes=30)}) == 0.5
