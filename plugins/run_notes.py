"""Airflow plugin: a note on each run's page says what started it and, where it is red, why."""

from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin
from sqlalchemy.orm import object_session

import fruit_pipeline.aws  # noqa: F401 - the triggerer shall be silent on credentials, too
from fruit_contract.layout import DAG_ID
from fruit_pipeline.dag.failures import FAILURE, REPORT, with_failure
from fruit_pipeline.dag.started_by import words

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


class RunNotes:
    """Hears in the scheduler of a run's new state, and leaves a note that is stored with it."""

    @hookimpl
    def on_dag_run_running(self, dag_run: "DagRun", msg: str) -> None:
        # A cleared run begins again: what somebody has noted on it stays.
        if dag_run.dag_id == DAG_ID and dag_run.note:
            dag_run.note = with_failure(dag_run.note, None)
        elif dag_run.dag_id == DAG_ID:
            triggered_by = dag_run.triggered_by
            dag_run.note = words(
                str(dag_run.run_type),
                triggered_by.value if triggered_by else None,
                [event.extra or {} for event in dag_run.consumed_asset_events],
            )

    @hookimpl
    def on_dag_run_failed(self, dag_run: "DagRun", msg: str) -> None:
        if dag_run.dag_id == DAG_ID and (said := _verdict(dag_run)):
            dag_run.note = with_failure(dag_run.note, said)


def _verdict(dag_run: "DagRun") -> str | None:
    """What the run's last task has left, if it got that far."""
    from airflow.models.xcom import XComModel  # the tasks' processes may not use the database

    session = object_session(dag_run)
    query = XComModel.get_many(run_id=dag_run.run_id, dag_ids=DAG_ID, task_ids=REPORT, key=FAILURE)
    row = session.scalar(query) if session else None
    return str(XComModel.deserialize_value(row)) if row else None


class RunNotesPlugin(AirflowPlugin):
    name = "run_notes"
    listeners = [RunNotes()]  # noqa: RUF012 - as Airflow's plugins declare it
