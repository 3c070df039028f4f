"""Airflow keeps the watcher's trigger in its database: a row of an earlier release still loads."""

from typing import Any

from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.serialization.decoders import smart_decode_trigger_kwargs

from fruit_pipeline.drops.queue_trigger import PhotoEventsTrigger

KWARGS: dict[str, Any] = {
    "sqs_queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/photos",
    "bucket": "fruits",
    "prefix": "Test/",
    "region_name": "eu-west-1",
    "aws_conn_id": "aws_default",
    "poll_seconds": 30.0,
}


def test_a_row_with_the_former_class_path_gives_the_trigger_of_today() -> None:
    row = Trigger(classpath="fruit_pipeline.triggers.PhotoEventsTrigger", kwargs=KWARGS)
    made = TriggerRunner.get_trigger_by_classpath(TriggerRunner(), row.classpath)
    stored = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    trigger = made(**{name: smart_decode_trigger_kwargs(value) for name, value in stored.items()})
    assert type(trigger) is PhotoEventsTrigger
    assert trigger.serialize() == ("fruit_pipeline.drops.queue_trigger.PhotoEventsTrigger", KWARGS)
