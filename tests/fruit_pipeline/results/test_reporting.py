"""The report says what is known of a run, and names the task that failed."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fruit_contract.report_schema import (
    ClusterFacts,
    Encryption,
    Report,
    TaskTime,
)
from fruit_pipeline.cluster import facts
from fruit_pipeline.cost import billing
from fruit_pipeline.results import reporting, run_index, timing
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import planned, sized

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

COST = billing.cost_of(RunRecord("r", START, {}, clusters=(CLUSTER,)), Deployment(), None, None, START)


def task(name: str, state: str) -> TaskTime:
    return TaskTime(name=name, started_after=0.0, waited=0.0, seconds=1.0, state=state)


def built(tasks: list[TaskTime], why: dict[str, str] | None = None, **known: Any) -> Report:
    return reporting.build_report(
        RunRecord("r", START, RunParameters().model_dump(), **{"clusters": (CLUSTER,), **known}),
        tasks=tasks,
        timing=timing.run_timing(CLUSTER, [], [], {}, START, {}),
        cost=COST,
        encryption=Encryption(bucket=None, objects=None, cluster=None, not_seen={}),
        why=why or {},
    )


def test_a_run_that_got_nowhere_still_has_every_field() -> None:
    report = built([task("plan", "failed")])
    assert set(report) == Report.__required_keys__
    assert report["state"] == "failed"
    assert report["images"]["found"] == 0
    assert report["explained_variance"] is None


def test_a_failure_is_told_in_the_tasks_words_and_not_in_those_of_tasks_that_waited_for_it() -> None:
    ended = [task("plan", "success"), task("verify", "failed"), task("publish", "upstream_failed")]
    report = built(ended, {"plan": "Of an earlier attempt.", "verify": "Set components to 30."})
    assert report["failure"] == "The run failed in verify: Set components to 30."
    report = built(ended)
    assert report["failure"] == (
        "The run failed in verify: somebody marked it failed, or its process was killed: see its log."
    )


def test_what_a_failed_task_says_shows_no_account() -> None:
    report = built([task("guards", "failed")], {"guards": "No role arn:aws:iam::123456789012:role/x"})
    assert report["failure"] == "The run failed in guards: No role arn:aws:iam::***:role/x."


def test_a_successful_run_has_no_failure() -> None:
    report = built([task("plan", "success")], plan=planned(3))
    assert (report["state"], report["failure"], report["images"]["found"]) == ("success", None, 3)


def test_the_report_has_what_the_train_step_made_and_whose_classifier_is_current() -> None:
    trained: Any = {
        "kind": "linear",
        "judged": {"top1": 0.9, "split": "session"},
        "drift": None,
        "versions": {"numpy": "2.1.3"},
    }
    report = built([], plan=planned(3), trained=trained, pointer={"classifier_run": "run-0"})
    assert (report["classifier"], report["classifier_run"]) == (trained, "run-0")
    assert report["versions"]["numpy"] == "2.1.3"
    assert run_index.summary(report, "run-1")["top1"] == 0.9


def test_a_run_without_a_result_leaves_the_current_classifier_as_it_was() -> None:
    plan = planned(3, classifier_run="run-0")
    assert built([], plan={**plan, "nothing_new": True})["classifier_run"] == "run-0"
    failed = built([task("verify", "failed")], plan=plan)
    assert (failed["classifier"], failed["classifier_run"]) == (None, None)
    assert run_index.summary(failed, "run-1")["top1"] is None


def test_files_that_are_left_out_by_their_names_are_counted() -> None:
    assert built([], plan=planned(3, left_out={".heic": 2}))["left_out"] == {".heic": 2}
    assert built([])["left_out"] == {}


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
    sizing = built([], estimate=sized("m6g.xlarge", 1, minutes=12.5))["sizing"]
    assert sizing is not None
    assert (sizing["expected_minutes"], sizing["actual_minutes"]) == (12.5, 15.0)
    assert (sizing["expected_eur"], sizing["actual_eur"]) == (COST["expected"], COST["actual"])


def test_the_parameters_of_the_report_have_the_fleet_that_was_chosen() -> None:
    given = {"workers": "auto", "region": "eu-west-3"}
    values = RunRecord("r", START, given, estimate=sized("m6g.xlarge", 7)).parameters
    assert (values["workers"], values["worker_type"], values["region"]) == (7, "m6g.xlarge", "eu-west-3")
    assert RunRecord("r", START, given).parameters["workers"] == "auto"


def test_an_instance_has_its_life_and_its_hours_when_it_has_ended() -> None:
    begun = facts._life({"CreationDateTime": START})
    assert (begun["created"], begun["ended"], begun["hours"]) == (START.isoformat(), None, None)
    ended = facts._life({"CreationDateTime": START, "EndDateTime": START + timedelta(minutes=30)})
    assert ended["hours"] == 0.5


def test_a_run_that_found_nothing_new_says_so_and_costs_nothing() -> None:
    found = planned(3, new=0, reused=3, nothing_new=True, summary="Nothing is new: 3 photos.")
    report = built([task("guards", "success"), task("publish", "skipped")], plan=found, clusters=())
    assert (report["state"], report["nothing_new"], report["failure"]) == ("success", True, None)
    assert report["changes"] == "Nothing is new: 3 photos."
    assert report["cost"]["actual"] == 0.0
    assert (report["images"]["found"], report["images"]["reused"]) == (3, 3)


def test_what_a_run_that_now_finds_nothing_new_has_cost_before_is_not_taken_for_nothing() -> None:
    found = planned(3, new=0, reused=3, nothing_new=True, summary="Nothing is new: 3 photos.")
    assert built([task("guards", "success")], plan=found)["cost"]["actual"] is None


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
    report = built([], plan={**found, "model": {"name": "m"}}, reduced=reduced)
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
