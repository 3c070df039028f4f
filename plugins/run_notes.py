"""Airflow's plugin of this project: notes on the page of each run which way it was started."""

from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

from fruit_pipeline.drops import STARTED_DAG_ID
from fruit_pipeline.origin import words

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


class RunNotes:
    """Hears in the scheduler that a run begins, and leaves a note that is stored with the run's new state."""

    @hookimpl
    def on_dag_run_running(self, dag_run: "DagRun", msg: str) -> None:
        # A cleared run begins again: what somebody has noted on it stays.
        if dag_run.dag_id == STARTED_DAG_ID and not dag_run.note:
            triggered_by = dag_run.triggered_by
            dag_run.note = words(
                str(dag_run.run_type),
                triggered_by.value if triggered_by else None,
                [event.extra or {} for event in dag_run.consumed_asset_events],
            )


class RunNotesPlugin(AirflowPlugin):
    name = "run_notes"
    listeners = [RunNotes()]  # noqa: RUF012 - as Airflow's plugins declare it
