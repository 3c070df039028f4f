"""Ends clusters whose run is gone: the net under fruit_features, every ten minutes."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task

from fruit_pipeline.aws import clients
from fruit_pipeline.dag import failures, tasks
from fruit_pipeline.settings.deployment import Deployment

DEPLOYMENT = Deployment()

with DAG(
    dag_id="cluster_reaper",
    description="Ends EMR clusters of this pipeline that belong to no live run, or are too old.",
    doc_md="""
Every ten minutes it lists the clusters with this installation's tags in every EU region. It ends those
that belong to no live run, and those that are older than their run's `max_hours`. Its log says what it
saw and did. It never touches another cluster.

**When a run is red:** it could not list a region or end a cluster, which its log names. Look into the
EMR console, and run `python -m fruit_pipeline reap --region REGION` by hand.
""",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule="*/10 * * * *",
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    params={
        "dry_run": Param(
            False,
            title="Dry run",
            type="boolean",
            description_md="List the clusters that would be ended, and end none. *dry_run*",
        ),
    },
    default_args={
        "owner": "fruits",
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(minutes=DEPLOYMENT.task_minutes),
        "on_execute_callback": [failures.log_plainly, clients.mask_account],
    },
    tags=["fruits", "emr"],
) as dag:
    task(tasks.reap)()
