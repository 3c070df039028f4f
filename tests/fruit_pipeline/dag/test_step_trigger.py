"""Airflow keeps the trigger of a waiting task in its database: a row of any release still loads."""

from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger
from airflow.providers.amazon.aws.triggers.emr import EmrStepSensorTrigger
from airflow.serialization.decoders import smart_decode_trigger_kwargs
from airflow.serialization.encoders import encode_trigger

from fruit_pipeline.dag.step_trigger import StepProgressTrigger

WAITING: dict[str, Any] = {
    "job_flow_id": "j-1",
    "step_id": "s-1",
    "waiter_delay": 30,
    "waiter_max_attempts": 600,
    "aws_conn_id": "aws_default",
    "region_name": "eu-west-1",
    "botocore_config": {"retries": {"mode": "standard", "total_max_attempts": 12}},
}
TOLD: dict[str, Any] = {"progress": "s3://b/progress.json", "since": "2026-11-29T12:00:00+00:00"}
OURS = "fruit_pipeline.dag.step_trigger.StepProgressTrigger"


def loaded(classpath: str, kwargs: dict[str, Any]) -> Any:
    """As the triggerer makes it of a row."""
    row = Trigger(classpath=classpath, kwargs=kwargs)
    made = TriggerRunner.get_trigger_by_classpath(TriggerRunner(), row.classpath)
    stored = Trigger._decrypt_kwargs(row.encrypted_kwargs)
    return made(**{name: smart_decode_trigger_kwargs(value) for name, value in stored.items()})


@pytest.mark.parametrize("told", [TOLD, {"progress": None, "since": None}], ids=["told", "not told"])
def test_a_row_loads_as_it_was_stored(told: dict[str, Any]) -> None:
    trigger = loaded(OURS, {**WAITING, **told})
    assert type(trigger) is StepProgressTrigger
    assert trigger.serialize() == (OURS, {**WAITING, **told})


def test_a_row_of_the_release_before_loads() -> None:
    """It waits as it did, and tells nothing of the step."""
    trigger = loaded("airflow.providers.amazon.aws.triggers.emr.EmrStepSensorTrigger", WAITING)
    assert type(trigger) is EmrStepSensorTrigger


def test_a_row_without_what_was_added_later_loads() -> None:
    assert loaded(OURS, WAITING).progress is None


def test_airflow_can_store_it() -> None:
    stored = encode_trigger(StepProgressTrigger(**WAITING, **TOLD))
    assert stored["classpath"] == OURS
