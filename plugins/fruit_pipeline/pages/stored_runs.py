"""What Airflow's database knows of a run, which the API server asks when it shows the run's page."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from fruit_contract.layout import DAG_ID, RunLayout, run_key
from fruit_pipeline.results.run_plan import PLACE

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PLAN: Final = "plan"


@dataclass(frozen=True)
class StoredTask:
    """A task of a run, in the order in which they began; those that wait for others come last."""

    name: str
    state: str | None
    started: datetime | None


@dataclass(frozen=True)
class StoredRun:
    """A run of ``fruit_features``, and where on S3 it writes."""

    run_id: str
    state: str
    note: str | None
    started: datetime
    """When it was asked for, where it has not begun."""
    region: str | None
    """None before the task ``plan`` has begun."""
    layout: RunLayout | None
    tasks: list[StoredTask]


def stored_run(session: "Session", run_id: str) -> StoredRun | None:
    """The run of that id; None where there is none. Where it writes is what Airflow has stored of it."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    run = session.scalar(select(DagRun).where(DagRun.dag_id == DAG_ID, DagRun.run_id == run_id))
    if run is None:
        return None
    place, plan = _left(session, run_id, PLACE), _left(session, run_id, "return_value")
    instances = session.execute(
        select(TaskInstance.task_id, TaskInstance.state, TaskInstance.start_date).where(
            TaskInstance.dag_id == DAG_ID, TaskInstance.run_id == run_id
        )
    )
    tasks = [StoredTask(name, str(state) if state else None, started) for name, state, started in instances]
    return StoredRun(
        run_id=run_id,
        state=str(run.state),
        note=run.note,
        started=run.start_date or run.run_after,
        region=place["region"] if place else None,
        layout=RunLayout(place["bucket"], plan["run_key"] if plan else run_key(run_id)) if place else None,
        tasks=sorted(tasks, key=lambda task: (task.started is None, str(task.started), task.name)),
    )


def stored_runs(session: "Session", most: int = 25) -> list[StoredRun]:
    """The newest runs of the DAG that are still there, the newest first."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    newest = select(DagRun.run_id).where(DagRun.dag_id == DAG_ID).order_by(DagRun.id.desc()).limit(most)
    runs = (stored_run(session, run_id) for run_id in session.scalars(newest).all())
    return [run for run in runs if run]


def _left(session: "Session", run_id: str, key: str) -> Any | None:
    """What the task ``plan`` has left under a key."""
    from airflow.models.xcom import XComModel

    query = XComModel.get_many(run_id=run_id, dag_ids=DAG_ID, task_ids=_PLAN, key=key)
    row = session.scalar(query)
    return XComModel.deserialize_value(row) if row else None
