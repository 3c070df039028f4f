"""Ends clusters whose run is gone: the net under fruit_features, every ten minutes."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from fruit_pipeline import clients, tasks
from fruit_pipeline.deployment import Deployment

DEPLOYMENT = Deployment()

with DAG(
    dag_id="cluster_reaper",
    description="Ends EMR clusters of this pipeline that belong to no live run, or are too old.",
    doc_md="""
Every ten minutes, looks in every EU region for clusters with this installation's tags, and ends those
that belong to no live run (deleted, failed or marked while nobody terminated them) or are older than
their run's `max_hours`. It says in its log what it saw and did, and never touches another cluster.

**When a run is red:** a region could not be looked at or a cluster not be ended: its log names it.
Look into the EMR console, and run `python -m fruit_pipeline reap --region REGION` by hand.
""",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule="*/10 * * * *",
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={
        "dry_run": Param(False, type="boolean", description="Say what would be done, and end nothing."),
    },
    default_args={
        "owner": "fruits",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=DEPLOYMENT.task_minutes),
        "on_execute_callback": clients.mask_account,
    },
    tags=["fruits", "emr"],
) as dag:
    task(tasks.reap)()
