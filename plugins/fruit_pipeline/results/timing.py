"""Where the time of a run went: task by task, and step by step on the cluster.

Airflow tells a task of its run how long the others took, but not when they began, so each task
notes its own start. EMR has a timeline for the cluster and for each step.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from airflow.sdk import Context

from fruit_contract.report_schema import ClusterFacts, StepTime, TaskTime, Timing

STARTED_AT: Final = "started_at"
"""Key of the XCom that every task leaves: when its last attempt began, ISO 8601."""


def note_start(context: Context) -> None:
    """Leave the start of the task for the report: an on_execute_callback.

    A deferred task that is resumed has kept its first start, and notes it again.
    """
    context["ti"].xcom_push(STARTED_AT, context["ti"].start_date.isoformat())


def starts(ti: Any, tasks: Sequence[str]) -> dict[str, datetime]:
    """When each task began, of those that have."""
    noted = {name: ti.xcom_pull(task_ids=name, key=STARTED_AT) for name in tasks}
    return {name: datetime.fromisoformat(moment) for name, moment in noted.items() if moment}


def task_times(
    breadcrumbs: Sequence[Mapping[str, Any]],
    started: Mapping[str, datetime],
    upstream: Mapping[str, Collection[str]],
    run_started: datetime,
) -> list[TaskTime]:
    """One entry a task, in the order of ``upstream``, which has the tasks before each task.

    ``breadcrumbs`` are what Airflow remembers of the ended ones, their ``duration`` in seconds.
    """
    known = {str(crumb["task_id"]): crumb for crumb in breadcrumbs}
    ends = _ends(known, started)
    times = []
    for name in (name for name in upstream if name in known):
        begun = started.get(name) if known[name]["duration"] is not None else None
        ready = max((ends[before] for before in upstream[name] if before in ends), default=run_started)
        times.append(
            TaskTime(
                name=name,
                started_after=_seconds(run_started, begun),
                waited=_seconds(ready, begun),
                seconds=known[name]["duration"],
                state=str(known[name]["state"]),
            )
        )
    return times


def _ends(known: Mapping[str, Mapping[str, Any]], started: Mapping[str, datetime]) -> dict[str, datetime]:
    return {
        name: started[name] + timedelta(seconds=crumb["duration"])
        for name, crumb in known.items()
        if name in started and crumb["duration"] is not None
    }


def run_timing(
    cluster: ClusterFacts,
    steps: Sequence[Mapping[str, Any]],
    breadcrumbs: Sequence[Mapping[str, Any]],
    started: Mapping[str, datetime],
    run_started: datetime,
    sensors: Mapping[str, str],
) -> Timing:
    """The life of the cluster beside the run's; ``steps`` are EMR's summaries, ``sensors`` their tasks."""
    created, ready, ended = (_moment(cluster[name]) for name in ("created", "ready", "ended"))
    ordered = sorted(steps, key=lambda step: step["Status"]["Timeline"]["CreationDateTime"])
    ends = _ends({str(crumb["task_id"]): crumb for crumb in breadcrumbs}, started)
    lines = [step["Status"]["Timeline"] for step in ordered]
    first = min((line["StartDateTime"] for line in lines if "StartDateTime" in line), default=None)
    last = max((line["EndDateTime"] for line in lines if "EndDateTime" in line), default=None)
    return Timing(
        to_cluster=_seconds(run_started, created),
        provisioning=_seconds(created, ready),
        to_first_step=_seconds(run_started, first),
        steps=[_step_time(step, run_started, ends.get(sensors.get(step["Name"], ""))) for step in ordered],
        after_last_step=_seconds(last, ended),
        idle=None,
    )


def _step_time(step: Mapping[str, Any], run_started: datetime, noticed: datetime | None) -> StepTime:
    line = step["Status"]["Timeline"]
    added, begun, done = (line.get(f"{name}DateTime") for name in ("Creation", "Start", "End"))
    return StepTime(
        name=step["Name"],
        state=step["Status"]["State"],
        started_after=_seconds(run_started, begun),
        queued=_seconds(added, begun),
        seconds=_seconds(begun, done),
        noticed_after=_seconds(done, noticed),
        startup=None,
        idle=None,
    )


def with_work(timing: Timing, metrics: Mapping[str, Mapping[str, Any] | None]) -> Timing:
    """The same with what of each step's time was not its work, by the metrics that it has left.

    ``metrics`` are by the steps' names. A step that left none tells neither start-up nor work.
    """
    told = [(step, metrics.get(step["name"]) or {}) for step in timing["steps"]]
    shares = [_work(step["seconds"], its) for step, its in told]
    steps = [
        StepTime(**{**step, "startup": _startup(step["seconds"], its), "idle": _idle([share])})
        for (step, its), share in zip(told, shares, strict=True)
    ]
    return Timing(**{**timing, "steps": steps, "idle": _idle(shares)})


def _work(seconds: float | None, metrics: Mapping[str, Any]) -> tuple[float, float]:
    """The seconds of all tasks, and those that the cores had for them; 0 and 0 where it is not known."""
    if seconds is None or "task_seconds" not in metrics:
        return 0.0, 0.0
    return metrics["task_seconds"], metrics["cores"] * seconds


def _idle(shares: Sequence[tuple[float, float]]) -> float | None:
    busy, had = (sum(each) for each in zip(*shares, strict=True)) if shares else (0.0, 0.0)
    return round(max(0.0, 1 - busy / had), 4) if had else None


def _startup(seconds: float | None, metrics: Mapping[str, Any]) -> float | None:
    if seconds is None or "startup_seconds" not in metrics:
        return None
    work: float = metrics["seconds"] - metrics["startup_seconds"]
    return round(max(0.0, seconds - work), 3)


def minutes_alive(cluster: ClusterFacts) -> float | None:
    """The cluster's life in minutes, once it has ended."""
    seconds = _seconds(_moment(cluster["created"]), _moment(cluster["ended"]))
    return None if seconds is None else seconds / 60


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    """EMR's clock is not Airflow's: what would be negative is 0."""
    return round(max(0.0, (until - since).total_seconds()), 3) if since and until else None
