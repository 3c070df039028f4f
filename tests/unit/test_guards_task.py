"""The task that guards a run asks every guard with the services' own answers, and says no in one sentence."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowFailException
from botocore.stub import Stubber

from fruit_pipeline import tasks
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters
from local_run import account
from tests.unit.conftest import BUCKET, REGION

PLANNED = {"images": 87_000, "bytes": 2_000_000_000, "ignored": 0}
Guard = Callable[..., dict[str, float]]


@pytest.fixture
def guard(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """The task in a DAG run of some type, in an account that has roles and no price list."""
    account.create_roles(boto3.client("iam", region_name=REGION), Deployment())
    monkeypatch.setattr(tasks, "client", lambda service, region: boto3.client(service, region_name=region))
    pricing = boto3.client("pricing", region_name="eu-central-1")
    denied = Stubber(pricing)
    denied.add_client_error("get_products", "AccessDeniedException", "not authorized", 400)
    denied.activate()
    monkeypatch.setattr(
        tasks, "_price_clients", lambda region: (pricing, boto3.client("ec2", region_name=region))
    )

    def run(run_type: DagRunType = DagRunType.MANUAL, **changes: Any) -> dict[str, float]:
        params = RunParameters(bucket=BUCKET, **changes).model_dump()
        dag_run = type("DagRun", (), {"run_type": run_type})
        monkeypatch.setattr(tasks, "get_current_context", lambda: {"params": params, "dag_run": dag_run})
        return tasks.check_guards(PLANNED)

    return run


@pytest.fixture
def dear_month(s3: Any) -> None:
    report = {
        "started_at": datetime.now(UTC).isoformat(),
        "cluster": {"id": "j-1"},
        "cost": {"actual": 49.5},
    }
    s3.put_object(Bucket=BUCKET, Key="Results/reports/run=a/report.json", Body=json.dumps(report).encode())


def test_both_sums_are_handed_on_and_old_prices_are_warned_of(
    guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger=tasks.__name__):
        found = guard()
    assert 0 < found["expected"] < found["estimate"] < 10
    assert "Prices (snapshot) are of 2025-03-02" in caplog.text


def test_a_run_above_its_budget_fails_with_the_sum(guard: Guard) -> None:
    with pytest.raises(AirflowFailException, match="more than budget_eur 1: lower max_hours to"):
        guard(budget_eur=1)


@pytest.mark.usefixtures("dear_month")
@pytest.mark.parametrize("run_type", [DagRunType.SCHEDULED, DagRunType.ASSET_TRIGGERED])
def test_a_run_by_itself_pauses_when_the_month_is_spent(guard: Guard, run_type: DagRunType) -> None:
    with pytest.raises(
        AirflowFailException, match=rf"49\.50 EUR in 1 run, and this {run_type.value} run may"
    ):
        guard(run_type)


@pytest.mark.usefixtures("dear_month")
def test_a_persons_run_starts_though_the_month_is_spent(guard: Guard) -> None:
    assert guard(DagRunType.MANUAL)["estimate"] > 0.5


def test_a_region_the_snapshot_does_not_know_is_refused_without_live_prices(guard: Guard) -> None:
    with pytest.raises(AirflowFailException, match="in eu-south-2 is not in the snapshot"):
        guard(region="eu-south-2")
