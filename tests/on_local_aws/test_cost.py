"""A cluster's bill and the month's sum, from the answers of the services themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import ClusterFacts
from fruit_pipeline.cluster import facts
from fruit_pipeline.cluster.identity import cluster_name, cluster_tags
from fruit_pipeline.cost import billing, estimate, live_prices, monthly_budget, sizing
from fruit_pipeline.results import publication
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import client, cluster_in, job_flow

PLANNED = {"images": 300, "bytes": 1_800_000, "ignored": 2}
PARAMETERS = RunParameters(region="eu-west-1")


@pytest.fixture
def clients(aws: LocalAws) -> tuple[BaseClient, BaseClient]:
    """A price list that answers nothing, asked as tasks ask it, and EC2."""
    pricing = boto3.client(
        "pricing",
        endpoint_url=aws.aws_url,
        region_name=live_prices.PRICING_REGION,
        aws_access_key_id=aws.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws.environment["AWS_SECRET_ACCESS_KEY"],
        config=live_prices.CLIENT_CONFIG,
    )
    return pricing, client(aws, "ec2")


@pytest.fixture
def ended(emr: Any) -> ClusterFacts:
    cluster_id = emr.run_job_flow(**job_flow())["JobFlowId"]
    cluster_in(emr, cluster_id, "WAITING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    return facts.cluster_facts(emr, cluster_id)


def bill(cluster: ClusterFacts, clients: tuple[BaseClient, BaseClient]) -> Any:
    now = datetime.now(UTC)
    run = RunRecord("run-1", now, PARAMETERS.model_dump(), plan=PLANNED, clusters=(cluster,))
    return billing.cost_of(run, Deployment(), *clients, now)


def test_without_a_price_list_the_snapshot_serves(clients: tuple[BaseClient, BaseClient]) -> None:
    found = live_prices.read_prices("eu-west-1", {"m6g.xlarge"}, *clients, datetime.now(UTC))
    assert (found.source, found.on_demand) == ("snapshot", {"m6g.xlarge": 0.172})


def test_a_spot_price_that_ec2_would_never_ask_is_not_used(clients: tuple[BaseClient, BaseClient]) -> None:
    ec2: Any = clients[1]
    history = ec2.describe_spot_price_history(InstanceTypes=["m6g.xlarge"])["SpotPriceHistory"]
    assert {entry["SpotPrice"] for entry in history} == {"0.00001"}
    now = datetime.now(UTC)
    assert live_prices.spot_prices(ec2, {"m6g.xlarge": 0.172}, now, now) == {}


def test_a_cluster_is_billed_for_its_three_nodes(
    ended: ClusterFacts, clients: tuple[BaseClient, BaseClient]
) -> None:
    lines = bill(ended, clients)["lines"]
    assert [line["service"].split(",")[0] for line in lines[:2]] == [
        "EC2 m6g.xlarge",
        "EMR fee m6g.xlarge",
    ]
    assert ", 3 nodes, " in lines[0]["service"]
    # All lived for less than a minute, and are billed that minute.
    rate = Deployment().usd_per_eur
    assert [line["amount"] * 60 * rate for line in lines[:2]] == pytest.approx([3 * 0.172, 3 * 0.043])


def test_the_bill_is_not_above_the_worst_case(
    ended: ClusterFacts, clients: tuple[BaseClient, BaseClient]
) -> None:
    types = sizing.types_to_price(PARAMETERS)
    prices = live_prices.read_prices("eu-west-1", types, *clients, datetime.now(UTC))
    found = estimate.estimate(PARAMETERS, billing.workload_of(PLANNED), prices)
    eur = billing.in_eur(found, Deployment())
    assert 0 < bill(ended, clients)["actual"] < eur["estimate"]
    assert 0 < eur["expected"] < eur["estimate"]


def test_the_reports_of_this_month_are_summed(
    ended: ClusterFacts, clients: tuple[BaseClient, BaseClient], s3: Any, bucket: str
) -> None:
    cost, now = bill(ended, clients), datetime.now(UTC)
    document = {"started_at": now.isoformat(), "cluster": ended, "cost": cost}
    for run in ("a", "b"):
        publication.write_json(s3, bucket, RunLayout(bucket, run).report, document)
    s3.put_object(Bucket=bucket, Key=RunLayout(bucket, "c").report, Body=b"not JSON")
    month = monthly_budget.month_so_far(s3, bucket, now)
    assert month.eur == pytest.approx(2 * cost["actual"])
    assert (month.runs, month.unknown) == (2, [RunLayout(bucket, "c").report])


def of_run(emr: Any, run_id: str, /, **tags: str) -> str:
    tagged = {**cluster_tags("here", "fruit_features", run_id), **tags}
    request = job_flow(
        Name=cluster_name("fruit_features", run_id),
        Tags=[{"Key": key, "Value": value} for key, value in tagged.items()],
    )
    return str(emr.run_job_flow(**request)["JobFlowId"])


def so_far(
    emr: Any, run_id: str, run_after: datetime | None = None, known: str | None = None
) -> list[str | None]:
    asked = run_after or datetime.now(UTC)
    found = facts.clusters_so_far(emr, "here", "fruit_features", run_id, asked, known)
    return [cluster["id"] for cluster in found]


def test_every_cluster_of_a_run_is_found_the_ended_ones_too_and_nobody_elses(emr: Any) -> None:
    first = of_run(emr, "r")
    emr.terminate_job_flows(JobFlowIds=[first])
    cluster_in(emr, first, "TERMINATED")
    of_run(emr, "another run")
    of_run(emr, "r", installation="somebody-elses")
    second = of_run(emr, "r")
    assert so_far(emr, "r") == so_far(emr, "r", known=second) == [first, second]


def test_a_cluster_from_before_the_run_is_not_the_runs(emr: Any) -> None:
    of_run(emr, "repeated")
    assert so_far(emr, "repeated", run_after=datetime.now(UTC) + timedelta(days=1)) == []


def test_the_cluster_that_airflow_knows_counts_though_its_tags_do_not_show_it(emr: Any) -> None:
    known = of_run(emr, "odd", run_id="spoilt")
    assert so_far(emr, "odd") == []
    assert so_far(emr, "odd", known=known) == [known]


def test_a_second_cluster_adds_to_the_cost_of_the_first(
    emr: Any, ended: ClusterFacts, clients: tuple[BaseClient, BaseClient]
) -> None:
    second = of_run(emr, "r")
    emr.terminate_job_flows(JobFlowIds=[second])
    cluster_in(emr, second, "TERMINATED")
    now = datetime.now(UTC)
    clusters = [ended, facts.cluster_facts(emr, second)]
    lines, _ = billing.bill(clusters, PARAMETERS.model_dump(), PLANNED, *clients, now)
    once, _ = billing.bill(clusters[:1], PARAMETERS.model_dump(), PLANNED, *clients, now)
    assert lines[0].usd == pytest.approx(2 * once[0].usd)
