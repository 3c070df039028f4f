"""The assets by which photos that arrive start a run."""

from datetime import timedelta
from typing import Any, Final

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable

from fruit_pipeline.drops.queue_trigger import PhotoEventsTrigger
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters

PHOTO_CHECK: Final = Asset("photo_check")
"""Changes with each look into the bucket; its newest event says what Airflow had heard of by then."""
PHOTO_DROP: Final = Asset("photo_drop")
"""Changes when a drop of photos is complete: it starts fruit_features."""


def photo_events(deployment: Deployment) -> Asset:
    """Changes whenever S3 told of photos; watched where the installation names a queue.

    What is watched are the default bucket and prefix, on which a run that nobody parametrizes works.
    """
    if not deployment.queue_url:
        return Asset("photo_events")
    parameters = RunParameters()
    watcher = PhotoEventsTrigger(
        sqs_queue=deployment.queue_url,
        bucket=parameters.bucket,
        prefix=parameters.input_prefix,
        region_name=deployment.region,
        aws_conn_id=deployment.aws_conn_id,
        poll_seconds=deployment.drop_poll_seconds,
    )
    return Asset("photo_events", watchers=[AssetWatcher(name="photos", trigger=watcher)])


def schedule(deployment: Deployment) -> Any:
    """Of fruit_features: a complete drop, or the installation's hour of the day."""
    if not deployment.schedule:
        return [PHOTO_DROP]
    # Not immediately: a DAG that is unpaused for the first time waits for the next time, not for the last.
    daily = CronTriggerTimetable(deployment.schedule, timezone="UTC", run_immediately=timedelta(0))
    return AssetOrTimeSchedule(timetable=daily, assets=[PHOTO_DROP])
