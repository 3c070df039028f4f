"""Prices are the account's own where it answers, else a dated snapshot; nobody invents one."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cost import live_prices, prices
from fruit_pipeline.cost.prices import PriceError
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings import instance_types
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.cost.price_lists import product, snapshot_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TYPE = "m6g.large"


@pytest.fixture
def pricing() -> Any:
    return boto3.client("pricing", region_name=live_prices.PRICING_REGION)


@pytest.fixture
def ec2() -> Any:
    return boto3.client("ec2", region_name="eu-west-1")


def silent(client: Any, method: str) -> Stubber:
    """A client whose account may not ask."""
    stub = Stubber(client)
    stub.add_client_error(method, "AccessDeniedException", "not authorized", 400)
    stub.activate()
    return stub


def spot_history(client: Any, *found: tuple[str, str]) -> Stubber:
    stub = Stubber(client)
    history = [{"InstanceType": name, "SpotPrice": usd, "AvailabilityZone": "a"} for name, usd in found]
    stub.add_response("describe_spot_price_history", {"SpotPriceHistory": history, "NextToken": ""})
    stub.activate()
    return stub


def answers(client: Any, *price_lists: list[str]) -> Stubber:
    """A price list that gives these products, one answer a question."""
    stub = Stubber(client)
    for found in price_lists:
        stub.add_response("get_products", {"FormatVersion": "aws_v1", "PriceList": found})
    stub.activate()
    return stub


LIVE = (
    [product("0.0999")],
    [product("0.025")],
    [product("0.09")],
    [product("0.000006")],
    [product("0.0000005")],
)
MONTH = [product("0.024", later_tier="0.022")]


@pytest.mark.parametrize(
    ("instance_type", "usd"), [("m6g.large", 0.086), ("m6g.xlarge", 0.172), ("c6g.xlarge", 0.1459)]
)
def test_the_snapshot_has_the_known_prices_of_ireland(instance_type: str, usd: float) -> None:
    assert prices.snapshot_on_demand("eu-west-1", [instance_type]) == {instance_type: usd}


def test_every_price_of_the_snapshot_is_of_an_eu_region_and_plausible() -> None:
    regions = prices._snapshot()["regions"]
    assert set(regions) <= set(EU_REGIONS)
    for region in regions:
        known = prices.snapshot_on_demand(region, instance_types.KNOWN_TYPES)
        assert {f"m6g.{size}" for size in instance_types.VCPUS} <= set(known)
        assert all(0.03 <= usd / instance_types.vcpus(name) <= 0.1 for name, usd in known.items())


def test_bigger_sizes_of_a_family_cost_in_proportion() -> None:
    known = prices.snapshot_on_demand("eu-central-1", instance_types.KNOWN_TYPES)
    for family in instance_types.GRAVITON_FAMILIES:
        assert known[f"{family}.4xlarge"] == pytest.approx(8 * known[f"{family}.large"], rel=0.001)


def test_a_type_that_nobody_knows_is_refused() -> None:
    with pytest.raises(
        instance_types.InstanceTypeError,
        match=r"EC2 type 'x9\.large' is unknown here: use one of m6g\.",
    ):
        instance_types.vcpus("x9.large")


def test_the_root_volume_is_the_one_the_cluster_asks_for() -> None:
    request = job_flow(RunParameters(), Deployment(), "s3://bucket/hard_lifetime.sh", "dag", "run")
    assert request["EbsRootVolumeSize"] == instance_types.EBS_ROOT_GB
    assert instance_types.ebs_gb("m6g.xlarge") == 32 + 64


def test_a_snapshot_is_stale_after_its_days() -> None:
    limit = prices.snapshot_date() + prices.STALE_AFTER
    assert not snapshot_of("eu-west-1", [TYPE], limit).stale
    assert snapshot_of("eu-west-1", [TYPE], limit + timedelta(days=1)).stale


def test_the_snapshot_serves_where_the_account_denies_and_is_asked_once(pricing: Any, ec2: Any) -> None:
    denied, no_spot = silent(pricing, "get_products"), silent(ec2, "describe_spot_price_history")
    found = live_prices.read_prices("eu-west-1", {TYPE, "m6g.xlarge"}, pricing, ec2, NOW)
    assert (found.source, found.date, found.stale) == ("snapshot", date(2025, 3, 2), True)
    assert (found.on_demand[TYPE], found.emr_fee[TYPE], found.spot) == (0.086, 0.0215, {})
    denied.assert_no_pending_responses()
    no_spot.assert_no_pending_responses()


def test_live_prices_replace_the_snapshot(pricing: Any, ec2: Any) -> None:
    with answers(pricing, *LIVE, MONTH), spot_history(ec2, (TYPE, "0.031"), (TYPE, "0.036")):
        found = live_prices.read_prices("eu-west-1", {TYPE}, pricing, ec2, NOW)
    assert (found.source, found.date, found.stale) == ("live", NOW.date(), False)
    assert (found.on_demand, found.emr_fee) == ({TYPE: 0.0999}, {TYPE: 0.025})
    assert found.ebs_gb_month == 0.09
    assert (found.s3.put_1000, found.s3.get_1000, found.s3.gb_month) == pytest.approx((0.006, 0.0005, 0.024))
    assert found.spot == {TYPE: 0.036}


def test_a_missing_answer_is_taken_from_the_snapshot_and_named(pricing: Any, ec2: Any) -> None:
    with answers(pricing, LIVE[0], [], *LIVE[2:], MONTH), spot_history(ec2):
        found = live_prices.read_prices("eu-west-1", {TYPE}, pricing, ec2, NOW)
    assert found.source == "live (EC2, EBS, S3), snapshot (EMR)"
    assert found.emr_fee == {TYPE: 0.25 * 0.0999}
    assert found.stale


@pytest.mark.parametrize(
    "odd", ["", "[]", "{}", product("nan"), product("0"), '{"terms": {"OnDemand": [1]}}']
)
def test_an_answer_in_no_known_shape_is_no_price(pricing: Any, ec2: Any, odd: str) -> None:
    with answers(pricing, [odd], *LIVE[1:], MONTH), spot_history(ec2):
        found = live_prices.read_prices("eu-west-1", {TYPE}, pricing, ec2, NOW)
    assert (found.source, found.on_demand) == ("live (EMR, EBS, S3), snapshot (EC2)", {TYPE: 0.086})


def test_the_price_list_is_asked_for_shared_linux_in_the_runs_region(pricing: Any, ec2: Any) -> None:
    asked: list[dict[str, Any]] = []
    pricing.meta.events.register(
        "provide-client-params.pricing.GetProducts", lambda params, **_: asked.append(params)
    )
    with answers(pricing, *LIVE, MONTH), spot_history(ec2):
        live_prices.read_prices("eu-south-2", {TYPE}, pricing, ec2, NOW)
    wanted = {entry["Field"]: entry["Value"] for entry in asked[0]["Filters"]}
    assert wanted["regionCode"] == "eu-south-2"
    assert (wanted["operatingSystem"], wanted["tenancy"], wanted["capacitystatus"]) == (
        "Linux",
        "Shared",
        "Used",
    )
    assert all(entry["Type"] == "TERM_MATCH" for request in asked for entry in request["Filters"])


def test_a_region_without_a_price_anywhere_is_refused(pricing: Any, ec2: Any) -> None:
    with (
        silent(pricing, "get_products"),
        pytest.raises(PriceError, match=r"EC2 m6g\.large in eu-south-2 is not"),
    ):
        live_prices.read_prices("eu-south-2", {TYPE}, pricing, ec2, NOW)


def test_a_spot_price_is_never_above_the_bid_nor_below_what_ec2_asks(ec2: Any) -> None:
    with spot_history(ec2, ("m6g.large", "0.2"), ("m6g.xlarge", "0.00001")):
        found = live_prices.spot_prices(ec2, {"m6g.large": 0.086, "m6g.xlarge": 0.172}, NOW, NOW)
    assert found == {"m6g.large": 0.086}


def test_the_price_list_is_asked_inside_the_eu_only() -> None:
    assert live_prices.PRICING_REGION in EU_REGIONS
