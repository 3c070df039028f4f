"""The report says when each task began, how long it waited for that, and what EMR did meanwhile."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from fruit_contract.report_schema import ClusterFacts
from fruit_pipeline.results import timing

START = datetime(2026, 1, 1, tzinfo=UTC)
UPSTREAM = {
    "plan": set(),
    "guards": {"plan"},
    "verify": {"guards"},
    "end": {"guards"},
    "report": {"verify", "end"},
}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def crumb(name: str, seconds: float | None, state: str = "success") -> dict[str, Any]:
    return {"task_id": name, "duration": seconds, "state": state}


def step(name: str, added: float, begun: float | None, ended: float | None) -> dict[str, Any]:
    moments = {"Creation": added, "Start": begun, "End": ended}
    line = {f"{key}DateTime": at(value) for key, value in moments.items() if value is not None}
    return {"Name": name, "Status": {"State": "COMPLETED", "Timeline": line}}


def cluster(**moments: float) -> ClusterFacts:
    found = {name: at(seconds).isoformat() for name, seconds in moments.items()}
    facts: Any = {"created": None, "ready": None, "ended": None, **found}
    return ClusterFacts(id="j-1", release=None, final_state=None, instances=[], **facts)


def test_a_task_waits_from_the_end_of_the_last_task_before_it() -> None:
    crumbs = [
        crumb("report", 1.0),
        crumb("verify", 3.0),
        crumb("end", 9.0),
        crumb("guards", 4.0),
        crumb("plan", 2.0),
    ]
    started = {"plan": at(0.5), "guards": at(3), "verify": at(8), "end": at(8), "report": at(17.25)}
    times = {entry["name"]: entry for entry in timing.task_times(crumbs, started, UPSTREAM, START)}
    assert list(times) == list(UPSTREAM)
    assert times["plan"] == {
        "name": "plan",
        "started_after": 0.5,
        "waited": 0.5,
        "seconds": 2.0,
        "state": "success",
    }
    assert (times["guards"]["waited"], times["verify"]["waited"]) == (0.5, 1.0)
    assert (times["report"]["started_after"], times["report"]["waited"]) == (17.25, 0.25)


def test_a_task_that_never_started_has_no_times() -> None:
    crumbs = [crumb("plan", 2.0, "failed"), crumb("guards", None, "upstream_failed")]
    _, guards = timing.task_times(crumbs, {"plan": at(1)}, UPSTREAM, START)
    assert (guards["started_after"], guards["waited"], guards["seconds"]) == (None, None, None)
    assert guards["state"] == "upstream_failed"


def test_the_start_a_task_notes_is_the_one_the_report_reads() -> None:
    noted: dict[str, str] = {}
    task: Any = SimpleNamespace(start_date=at(5), xcom_push=lambda key, value: noted.update({key: value}))
    timing.note_start({"ti": task})  # type: ignore[typeddict-item]
    reader = SimpleNamespace(xcom_pull=lambda task_ids, key: noted[key] if task_ids == "plan" else None)
    assert timing.starts(reader, ["plan", "guards"]) == {"plan": at(5)}


def test_provisioning_queueing_running_and_noticing_are_told_apart() -> None:
    steps = [step("reduce", 705, 706, 800), step("featurize", 490, 500, 700)]
    found = timing.run_timing(
        cluster(created=10, ready=480, ended=900),
        steps,
        [crumb("wait", 212.0)],
        {"wait": at(500)},
        START,
        {"featurize": "wait"},
    )
    assert (found["to_cluster"], found["provisioning"], found["to_first_step"]) == (10, 470, 500)
    assert found["after_last_step"] == 100
    featurize, reduce = found["steps"]
    assert (featurize["queued"], featurize["seconds"], featurize["noticed_after"]) == (10, 200, 12)
    assert (reduce["name"], reduce["noticed_after"]) == ("reduce", None)


def test_a_run_without_a_cluster_has_no_times_of_one() -> None:
    found = timing.run_timing(cluster(), [], [], {}, START, {})
    assert found["steps"] == []
    assert {value for name, value in found.items() if name != "steps"} == {None}


def test_a_step_that_did_not_end_has_no_end() -> None:
    (only,) = timing.run_timing(cluster(created=1), [step("a", 2, 3, None)], [], {}, START, {})["steps"]
    assert (only["queued"], only["seconds"], only["noticed_after"]) == (1, None, None)


def test_what_of_a_step_was_not_its_work_is_told_apart() -> None:
    steps = [step("featurize", 490, 500, 700), step("reduce", 705, 706, 800), step("train", 801, 802, 900)]
    found = timing.run_timing(cluster(created=10, ready=480, ended=900), steps, [], {}, START, {})
    featurized = {"seconds": 190.0, "startup_seconds": 15.0, "cores": 4, "task_seconds": 600.0}
    reduced = {"seconds": 90.0, "cores": 2, "task_seconds": 47.0}
    known = timing.with_work(found, {"featurize": featurized, "reduce": reduced, "train": None})
    assert [each["startup"] for each in known["steps"]] == [25.0, None, None]
    # 4 cores for 200 seconds, and 2 for 94.
    assert [each["idle"] for each in known["steps"]] == [0.25, 0.75, None]
    assert known["idle"] == round(1 - 647 / 988, 4)


def test_nobody_is_said_to_have_worked_or_idled_where_nothing_was_told() -> None:
    found = timing.run_timing(cluster(created=1), [step("train", 2, 3, 9)], [], {}, START, {})
    assert timing.with_work(found, {"train": {"seconds": 5.0}})["idle"] is None
    assert timing.with_work({**found, "steps": []}, {})["idle"] is None


def test_a_cluster_has_lived_once_it_has_ended() -> None:
    assert timing.minutes_alive(cluster(created=0, ended=90)) == 1.5
    assert timing.minutes_alive(cluster(created=0)) is None
