"""The task that guards a run asks every guard with the services' own answers, and says no in one sentence."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from airflow.sdk.api.datamodels._generated import DagRunType
from airflow.sdk.exceptions import AirflowFailException
from botocore.stub import Stubber

from fruit_contract.layout import NOTEBOOKS_PREFIX
from fruit_pipeline.aws import clients
from fruit_pipeline.cluster import artifacts
from fruit_pipeline.dag import run_context, tasks
from fruit_pipeline.dag.run_context import RunContext
from fruit_pipeline.results.publication import write_json
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import Fleet, RunParameters
from local_run import local_account
from tests.fruit_pipeline.conftest import BUCKET, REGION, planned
from tests.fruit_pipeline.dag.conftest import InTask

PLANNED = planned(87_000, bytes=2_000_000_000)
Guard = Callable[..., dict[str, Any]]


@pytest.fixture
def guard(s3: Any, in_task: InTask, monkeypatch: pytest.MonkeyPatch) -> Guard:
    """The task in a DAG run of some type, in an account that has roles and no price list."""
    local_account.create_roles(boto3.client("iam", region_name=REGION), Deployment())
    pricing = boto3.client("pricing", region_name="eu-central-1")
    denied = Stubber(pricing)
    denied.add_client_error("get_products", "AccessDeniedException", "not authorized", 400)
    denied.activate()

    def client(service: str, region: str, config: Any = None) -> Any:
        return pricing if service == "pricing" else boto3.client(service, region_name=region)

    monkeypatch.setattr(clients, "client", client)

    def run(run_type: DagRunType = DagRunType.MANUAL, **changes: Any) -> dict[str, Any]:
        in_task(RunParameters(bucket=BUCKET, **changes).model_dump(), run_type=run_type, plan=PLANNED)
        estimate: Any = tasks.check_guards()
        return dict(estimate)

    return run


@pytest.fixture
def dear_month(s3: Any) -> None:
    report = {
        "started_at": datetime.now(UTC).isoformat(),
        "cluster": {"id": "j-1"},
        "cost": {"actual": 49.5},
    }
    s3.put_object(Bucket=BUCKET, Key="Results/reports/run=a/report.json", Body=json.dumps(report).encode())


def test_both_sums_are_handed_on(guard: Guard) -> None:
    found = guard()
    assert 0 < found["expected"] < found["estimate"] < 10


def test_the_fleet_that_is_chosen_and_its_arithmetic_are_handed_on_and_logged(
    guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    given = guard()["sizing"]
    assert (given["automatic"], given["chosen"]) == (False, {"worker_type": "m6g.xlarge", "workers": 2})
    with caplog.at_level(logging.INFO, logger=tasks.__name__):
        found = guard(workers="auto", deadline_minutes=16)
    sizing = found["sizing"]
    assert sizing["automatic"]
    assert sizing["expected_minutes"] <= 16
    assert f"Chosen: {sizing['arithmetic']}" in caplog.text
    fleet = Fleet(**sizing["chosen"])
    assert str(fleet) in sizing["arithmetic"]
    again = guard(workers=fleet.workers, worker_type=fleet.worker_type)
    assert (again["estimate"], again["expected"]) == (found["estimate"], found["expected"])


def test_a_run_that_no_fleet_fits_fails_in_one_sentence(guard: Guard) -> None:
    with pytest.raises(
        AirflowFailException, match="No fleet handles 87,000 images within deadline_minutes 5"
    ):
        guard(workers="auto", deadline_minutes=5)


def test_the_cluster_that_is_asked_for_is_the_one_that_was_chosen(
    guard: Guard, in_task: InTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = guard(workers="auto", deadline_minutes=16)
    in_task(RunParameters(bucket=BUCKET, workers="auto").model_dump(), plan=PLANNED, guards=guarded)
    uris = artifacts.ArtifactUris(*("s3://b/a",) * 7)
    monkeypatch.setattr(artifacts, "publish", lambda *_: uris)
    core = tasks.publish_artifacts()["job_flow"]["Instances"]["InstanceFleets"][1]
    assert {
        "worker_type": core["InstanceTypeConfigs"][0]["InstanceType"],
        "workers": core["TargetSpotCapacity"],
    } == guarded["sizing"]["chosen"]


@pytest.mark.parametrize("minutes", [0, 30])
def test_a_notebook_is_put_into_the_bucket_where_people_come_to_the_cluster_and_there_alone(
    minutes: int, guard: Guard, in_task: InTask, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    guarded = guard(interactive_minutes=minutes)
    asked = RunParameters(bucket=BUCKET, interactive_minutes=minutes)
    in_task(asked.model_dump(), plan=PLANNED, guards=guarded)
    uris = artifacts.ArtifactUris(*("s3://b/a",) * 7)
    monkeypatch.setattr(artifacts, "publish", lambda *_: uris)
    tasks.publish_artifacts()
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=NOTEBOOKS_PREFIX)
    assert listed["KeyCount"] == (1 if minutes else 0)


def test_a_run_whose_result_was_published_describes_no_cluster_again(
    guard: Guard, in_task: InTask, s3: Any
) -> None:
    guarded = guard()
    in_task(RunParameters(bucket=BUCKET).model_dump(), plan=PLANNED, guards=guarded)
    owner, layout = RunContext.current().owner, RunContext.current().layout
    write_json(s3, BUCKET, layout.claim, {"owner": asdict(owner), "claimed_at": "", "sealed": True})
    with pytest.raises(AirflowFailException, match="was published, and stays as it is"):
        tasks.publish_artifacts()


def test_a_run_above_its_budget_fails_with_the_sum(guard: Guard) -> None:
    with pytest.raises(AirflowFailException, match="more than budget_eur 2: lower max_hours to"):
        guard(budget_eur=2)


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


def test_a_fleet_too_slow_for_its_lifetime_is_warned_of(
    guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger=tasks.__name__):
        guard(workers=1, max_hours=0.75, engine="keras")
    assert "max_hours 0.75 ends the cluster before" in caplog.text


def test_a_release_that_emr_does_not_offer_is_refused_before_anything_costs_money(guard: Guard) -> None:
    with pytest.raises(AirflowFailException, match=r"'emr-7\.99\.0', and EMR does not offer it in eu-west-1"):
        guard(release_label="emr-7.99.0")


def test_what_the_run_has_cost_already_is_in_both_sums_and_in_the_budget(
    guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = guard()
    ago = datetime.now(UTC) - timedelta(hours=30)
    node = {"type": "m6g.xlarge", "market": "ON_DEMAND", "created": ago.isoformat(), "ended": None}
    before = {"id": "j-1", "instances": [node]}
    monkeypatch.setattr(run_context, "clusters_so_far", lambda *_: [before])
    again = guard()
    spent = again["estimate"] - fresh["estimate"]
    assert spent == pytest.approx(30 * (0.172 + 0.043) / Deployment().usd_per_eur, rel=0.1)
    assert again["expected"] - fresh["expected"] == pytest.approx(spent)
    with pytest.raises(AirflowFailException, match="EUR  Earlier clusters of this run"):
        guard(budget_eur=fresh["estimate"] + 1)


def test_a_region_the_snapshot_does_not_know_is_refused_without_live_prices(guard: Guard) -> None:
    with pytest.raises(AirflowFailException, match="in eu-south-2 is not in the snapshot"):
        guard(region="eu-south-2")
