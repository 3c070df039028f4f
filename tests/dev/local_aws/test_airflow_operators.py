"""Airflow's own EMR operators and sensors work against local AWS unchanged."""

from typing import Any

import pytest
from botocore.client import BaseClient

from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import cluster_in, job_flow, step

CONNECTION: dict[str, Any] = {"aws_conn_id": None, "region_name": "eu-west-1"}


@pytest.fixture
def clients_of_local_aws(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("clients_of_local_aws")
def test_the_operators_create_add_sense_and_terminate(emr: BaseClient) -> None:
    from airflow.providers.amazon.aws.operators.emr import (
        EmrAddStepsOperator,
        EmrCreateJobFlowOperator,
        EmrTerminateJobFlowOperator,
    )
    from airflow.providers.amazon.aws.sensors.emr import EmrJobFlowSensor, EmrStepSensor

    class Instance:
        """As much of a task instance as the operators' links need."""

        def xcom_push(self, **_: Any) -> None: ...

    context: Any = {"ti": Instance(), "task_instance": Instance()}
    cluster_id = EmrCreateJobFlowOperator(
        task_id="create", job_flow_overrides=job_flow(), emr_conn_id=None, **CONNECTION
    ).execute(context)
    assert cluster_id is not None
    waiting = EmrJobFlowSensor(
        task_id="wait", job_flow_id=cluster_id, target_states=["WAITING"], poke_interval=0.1, **CONNECTION
    )
    waiting.execute(context)
    [step_id] = EmrAddStepsOperator(
        task_id="add", job_flow_id=cluster_id, steps=[step("true")], **CONNECTION
    ).execute(context)
    EmrStepSensor(
        task_id="sense", job_flow_id=cluster_id, step_id=step_id, poke_interval=0.1, **CONNECTION
    ).execute(context)
    EmrTerminateJobFlowOperator(task_id="end", job_flow_id=cluster_id, **CONNECTION).execute(context)
    cluster_in(emr, cluster_id, "TERMINATED")
