"""The report says what is known of a run, and names the task that failed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fruit_contract.report import ChosenFleet, ClusterFacts, Encryption, ExpectedSizing, Report, TaskTime
from fruit_pipeline import billing, reporting, timing
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters
from tests.unit.conftest import planned

START = datetime(2026, 1, 1, tzinfo=UTC)
CLUSTER = ClusterFacts(
    id="j-1",
    release="emr-7.13.0",
    final_state="TERMINATED",
    created=START.isoformat(),
    ready=(START + timedelta(minutes=7)).isoformat(),
    ended=(START + timedelta(minutes=15)).isoformat(),
    instances=[],
)

COST = billing.cost_of(
    [CLUSTER],
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
    return TaskTime(name=name, started_after=0.0, waited=0.0, seconds=1.0, state=state)


def built(tasks: list[TaskTime], **known: Any) -> Report:
    nothing: dict[str, Any] = {"planned": None, "featurized": None, "reduced": None, "sizing": None}
    nothing["clusters"] = [CLUSTER]
    return reporting.build_report(
        run_id="r",
        started_at=START,
        parameters=RunParameters().model_dump(),
        tasks=tasks,
        timing=timing.run_timing(CLUSTER, [], [], {}, START, {}),
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
    report = built([task("plan", "success")], planned=planned(3))
    assert (report["state"], report["failure"], report["images"]["found"]) == ("success", None, 3)


def test_the_speed_is_told_by_core() -> None:
    featurized = {
        "processed": 3,
        "rejected": 0,
        "feature_dim": 1280,
        "images_per_second": 90.0,
        "cores": 4,
        "model_loads": 1,
        "model": None,
        "versions": {},
    }
    assert built([], featurized=featurized)["images_per_second_per_core"] == 22.5


def test_what_was_expected_of_the_fleet_stands_beside_what_happened() -> None:
    expected = ExpectedSizing(
        chosen=ChosenFleet(worker_type="m6g.large", workers=1),
        automatic=True,
        expected_minutes=12.5,
        arithmetic="sum",
    )
    sizing = built([], sizing=expected)["sizing"]
    assert sizing is not None
    assert (sizing["expected_minutes"], sizing["actual_minutes"]) == (12.5, 15.0)
    assert (sizing["expected_eur"], sizing["actual_eur"]) == (COST["expected"], COST["actual"])


def test_the_parameters_of_the_report_have_the_fleet_that_was_chosen() -> None:
    expected = ExpectedSizing(
        chosen=ChosenFleet(worker_type="m6g.xlarge", workers=7),
        automatic=True,
        expected_minutes=1.0,
        arithmetic="",
    )
    values = reporting.planned_parameters({"workers": "auto", "region": "eu-west-3"}, expected)
    assert (values["workers"], values["worker_type"], values["region"]) == (7, "m6g.xlarge", "eu-west-3")
    assert reporting.planned_parameters({"workers": "auto"}, None)["workers"] == "auto"


def test_an_instance_has_its_life_and_its_hours_when_it_has_ended() -> None:
    begun = reporting._life({"CreationDateTime": START})
    assert (begun["created"], begun["ended"], begun["hours"]) == (START.isoformat(), None, None)
    ended = reporting._life({"CreationDateTime": START, "EndDateTime": START + timedelta(minutes=30)})
    assert ended["hours"] == 0.5


def test_a_run_that_found_nothing_new_says_so_and_costs_nothing() -> None:
    found = planned(3, new=0, reused=3, nothing_new=True, summary="Nothing is new: 3 photos.")
    report = built([task("guards", "success"), task("publish", "skipped")], planned=found, clusters=[])
    assert (report["state"], report["nothing_new"], report["failure"]) == ("success", True, None)
    assert report["changes"] == "Nothing is new: 3 photos."
    assert report["cost"]["actual"] == 0.0
    assert (report["images"]["found"], report["images"]["reused"]) == (3, 3)


def test_what_a_run_that_now_finds_nothing_new_has_cost_before_is_not_taken_for_nothing() -> None:
    found = planned(3, new=0, reused=3, nothing_new=True, summary="Nothing is new: 3 photos.")
    assert built([task("guards", "success")], planned=found)["cost"]["actual"] is None


def test_the_result_is_counted_as_the_reduce_step_left_it() -> None:
    found = planned(340, new=50, changed=5, reused=285, deleted=10)
    reduced: Any = {
        "rows": 338,
        "rejected": 2,
        "feature_dim": 1280,
        "components": 2,
        "explained_variance": 0.9,
        "explained_variance_ratio": [0.6, 0.3],
        "versions": {"spark": "3.5.6"},
    }
    base: Any = {"run_key": "a", "model": {"name": "m"}, "pca_model": "", "components": 2}
    report = built([], planned={**found, "base": base}, reduced=reduced)
    assert report["images"] == {
        "found": 340,
        "new": 50,
        "changed": 5,
        "processed": 338,
        "rejected": 2,
        "reused": 285,
        "deleted": 10,
    }
    assert report["model"] == {"name": "m"}
    assert (report["feature_dim"], report["versions"]["spark"]) == (1280, "3.5.6")
