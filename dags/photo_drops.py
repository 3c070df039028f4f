"""Starts fruit_features when photos were dropped in the bucket: one run a drop, not one a photo."""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, task

from fruit_pipeline.aws import clients
from fruit_pipeline.dag import failures, runbook
from fruit_pipeline.drops import drop_assets, drop_tasks
from fruit_pipeline.settings.deployment import Deployment

DEPLOYMENT = Deployment()
PHOTO_EVENTS = drop_assets.photo_events(DEPLOYMENT)
WATCHED = "S3 tells a queue of photos, which this Airflow watches."
UNWATCHED = "Nobody watches the bucket: set FRUITS_QUEUE_URL to the queue that S3 tells of photos."

with DAG(
    dag_id="photo_drops",
    description="One run of fruit_features for each drop of photos in the bucket.",
    doc_md=f"""
{WATCHED if DEPLOYMENT.queue_url else UNWATCHED}

Waits until the drop ends: quiet for `quiet_minutes`, or `max_wait_hours` after its first photo. It also
waits while a run of fruit_features is under way. Then it looks into the bucket, and announces the drop if
at least `min_new_images` photos wait. Triggered by hand, it looks at once.

**When a run is red:** the photos wait in the bucket for the next drop or the daily run. The log of the
task that failed says why. A run whose tasks are skipped found nothing to do.
""",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    schedule=[PHOTO_EVENTS] if DEPLOYMENT.queue_url else None,
    catchup=False,
    max_active_runs=1,
    params=drop_tasks.form(),
    default_args={
        "owner": "fruits",
        "retries": 3,
        "retry_delay": timedelta(seconds=DEPLOYMENT.poll_seconds),
        "execution_timeout": timedelta(minutes=DEPLOYMENT.task_minutes),
        "on_execute_callback": [failures.log_plainly, clients.mask_account],
    },
    tags=["fruits", "emr"],
) as dag:
    heard = drop_tasks.DropCompleteSensor(
        task_id="wait_until_complete",
        photo_events=PHOTO_EVENTS,
        inlets=[PHOTO_EVENTS, drop_assets.PHOTO_CHECK],
        doc_md=runbook.WAIT_UNTIL_COMPLETE,
    ).output
    drop = task(
        multiple_outputs=False,
        outlets=[drop_assets.PHOTO_CHECK],
        execution_timeout=timedelta(minutes=DEPLOYMENT.plan_minutes),
    )(drop_tasks.look_into_bucket)(heard)
    task(outlets=[drop_assets.PHOTO_DROP])(drop_tasks.announce_drop)(drop)
