"""The bill of a run is made of its instances' own lives, to the second, and its lines are its sum."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from fruit_contract.report_schema import ClusterFacts
from fruit_pipeline.cost import billing
from fruit_pipeline.cost.cost_explorer import cost_query
from fruit_pipeline.cost.invoice import NodeUse, S3Use, billed_hours, invoice_lines, total_usd
from fruit_pipeline.cost.prices import PriceError
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.settings import instance_types
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.instance_types import InstanceTypeError
from fruit_pipeline.settings.parameters import RunParameters
from tests.conftest import REPOSITORY
from tests.fruit_pipeline.conftest import planned, sized
from tests.fruit_pipeline.cost.price_lists import snapshot_of

IRELAND = snapshot_of("eu-west-1", instance_types.KNOWN_TYPES)
START = datetime(2026, 11, 30, 22, tzinfo=UTC)
NOW = START + timedelta(hours=3)
NO_S3 = S3Use(0, 0, 0)
DOCS = REPOSITORY / "docs" / "guides" / "cost.md"


def instance(instance_type: str, hours: float | None, market: str = "SPOT") -> dict[str, object]:
    ended = None if hours is None else (START + timedelta(hours=hours)).isoformat()
    return {
        "id": "ci-1",
        "type": instance_type,
        "market": market,
        "created": START.isoformat(),
        "ready": None,
        "ended": ended,
        "hours": hours,
    }


def bill(
    *clusters: list[dict[str, object]],
    spot: dict[str, str] | None = None,
    until: str | None = None,
    **values: Any,
) -> Any:
    """The report's cost with the snapshot's prices, and Spot prices where EC2 is given some."""
    pricing, ec2 = boto3.client("pricing", region_name="eu-central-1"), boto3.client("ec2")
    deny, history = Stubber(pricing), Stubber(ec2)
    deny.add_client_error("get_products", "AccessDeniedException", "", 400)
    if spot is None:
        history.add_client_error("describe_spot_price_history", "UnauthorizedOperation", "", 403)
    else:
        found = [{"InstanceType": name, "SpotPrice": usd} for name, usd in spot.items()]
        history.add_response("describe_spot_price_history", {"SpotPriceHistory": found})
    with deny, history:
        run = RunRecord(
            "run-1",
            START,
            {**RunParameters().model_dump(), **values},
            plan=planned(1000, bytes=6_000_000),
            # A run whose fleet was chosen, and is no longer known, has no estimate.
            estimate=None if "workers" in values else sized("m6g.xlarge", 2),
            clusters=tuple(
                ClusterFacts(id=f"j-{n}", instances=nodes, interactive_until=until)
                for n, nodes in enumerate(clusters)
            ),
        )
        return billing.cost_of(run, Deployment(usd_per_eur=1.25), pricing, ec2, NOW)


def test_lines_are_ec2_and_emr_by_type_and_market_then_ebs_and_s3() -> None:
    nodes = [
        NodeUse("m6g.large", "SPOT", 3600),
        NodeUse("m6g.xlarge", "SPOT", 7200),
        NodeUse("m6g.large", "SPOT", 1800),
        NodeUse("m6g.large", "ON_DEMAND", 3600),
    ]
    asked = replace(IRELAND, spot={"m6g.large": 0.04})
    lines = invoice_lines(nodes, S3Use(1000, 10_000, 2), asked)
    assert [(line.service, round(line.usd, 6)) for line in lines] == [
        ("EC2 m6g.large, 1 node, 1.00 h, on demand 0.0860 USD/h", 0.086),
        ("EMR fee m6g.large, 1 node, 1.00 h, 0.0215 USD/h", 0.0215),
        ("EC2 m6g.large, 2 nodes, 1.50 h, at the Spot price 0.0400 USD/h", 0.06),
        ("EMR fee m6g.large, 2 nodes, 1.50 h, 0.0215 USD/h", 0.03225),
        ("EC2 m6g.xlarge, 1 node, 2.00 h, Spot, at most the on-demand price 0.1720 USD/h", 0.344),
        ("EMR fee m6g.xlarge, 1 node, 2.00 h, 0.0430 USD/h", 0.086),
        ("EBS gp3: 352 GB-hours", round(352 * 0.088 / 730, 6)),
        ("S3 requests, counted by rule: 1000 PUT and LIST, 10000 GET", 0.009),
        ("S3 storage: 2.00 GB-months", 0.046),
    ]


def test_an_instance_is_billed_by_the_second_for_a_minute_at_least() -> None:
    assert billed_hours(1) == billed_hours(60) == 60 / 3600
    assert billed_hours(60.2) == 61 / 3600


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_a_life_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(PriceError, match=r"An instance's life is .* 0 or more"):
        billed_hours(seconds)


def test_a_type_nobody_has_a_price_for_is_refused() -> None:
    with pytest.raises(InstanceTypeError, match=r"EC2 type 'm1\.small' is unknown"):
        invoice_lines([NodeUse("m1.small", "SPOT", 60)], NO_S3, IRELAND)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(IRELAND.on_demand)),
            st.sampled_from(["SPOT", "ON_DEMAND"]),
            st.floats(0, 86400),
        ),
        min_size=1,
    )
)
def test_lines_sum_to_what_each_instance_costs_alone(nodes: list[tuple[str, str, float]]) -> None:
    uses = [NodeUse(*node) for node in nodes]
    alone = sum(total_usd(invoice_lines([use], NO_S3, IRELAND)) for use in uses)
    assert total_usd(invoice_lines(uses, NO_S3, IRELAND)) == pytest.approx(alone)


def test_the_reports_lines_sum_to_its_actual_cost_in_eur() -> None:
    cost = bill([instance("m6g.xlarge", 2.0), instance("m6g.large", 2.0)])
    nodes = 2 * 1.25 * (0.172 + 0.086) + 2 * (96 + 64) * 0.088 / 730
    s3 = sum(line["amount"] for line in cost["lines"] if line["service"].startswith("S3"))
    assert cost["actual"] == pytest.approx(sum(line["amount"] for line in cost["lines"]))
    assert cost["actual"] == pytest.approx(nodes / 1.25 + s3)
    assert (cost["currency"], cost["estimate"], cost["expected"]) == ("EUR", 2.0, 1.0)


def test_what_each_group_was_expected_to_cost_stands_beside_what_it_did() -> None:
    cost = bill([instance("m6g.xlarge", 2.0), instance("m6g.large", 2.0)])
    groups = {each["group"]: each for each in cost["groups"]}
    assert (groups["EC2 Spot"]["estimate"], groups["EC2 Spot"]["expected"]) == (2.0, 1.0)
    assert groups["EMR"]["expected"] is None, "the estimate knew nothing of it"
    assert sum(each["actual"] or 0.0 for each in groups.values()) == pytest.approx(cost["actual"])


def test_the_report_says_which_prices_and_rate_were_used_and_how_old_they_are() -> None:
    cost = bill([instance("m6g.large", 1.0)])
    assert cost["prices"] == {"source": "snapshot", "date": "2025-03-02", "stale": True}
    assert cost["exchange"] == {"usd_per_eur": 1.25, "date": "2026-11-01", "stale": False}


def test_spot_nodes_cost_the_spot_price_where_ec2_tells_it() -> None:
    bound, known = (
        bill([instance("m6g.large", 1.0)]),
        bill([instance("m6g.large", 1.0)], spot={"m6g.large": "0.03"}),
    )
    assert "at most the on-demand price 0.0860" in bound["lines"][0]["service"]
    assert "at the Spot price 0.0300" in known["lines"][0]["service"]
    assert known["actual"] == pytest.approx(bound["actual"] - (0.086 - 0.03) / 1.25)


def test_a_run_with_two_clusters_costs_what_both_cost() -> None:
    first, second = [instance("m6g.xlarge", 0.5)], [instance("m6g.xlarge", 1.0), instance("m6g.large", 1.0)]
    both, apart = bill(first, second), [bill(first), bill(second)]
    ours = [sum(line["amount"] for line in cost["lines"][:-2]) for cost in (both, *apart)]
    assert ours[0] == pytest.approx(ours[1] + ours[2])
    # Nodes and disks add up; the results lie on S3 once.
    assert max(cost["actual"] for cost in apart) < both["actual"] < sum(cost["actual"] for cost in apart)


def test_a_chosen_fleet_that_is_no_longer_known_does_not_hide_the_cost() -> None:
    nodes = [instance("m6g.xlarge", 1.0)] * 3
    assert bill(nodes, workers="auto")["actual"] == pytest.approx(bill(nodes, workers=2)["actual"])


def test_an_instance_that_has_not_ended_costs_until_now() -> None:
    assert bill([instance("m6g.large", None)])["lines"] == bill([instance("m6g.large", 3.0)])["lines"]


def test_a_run_without_an_instance_has_no_cost_and_asks_for_no_price() -> None:
    run = RunRecord("run-1", START, {"region": "nowhere"})
    cost = billing.cost_of(run, Deployment(), None, None, NOW)
    assert (cost["estimate"], cost["actual"], cost["lines"]) == (None, None, [])
    assert cost["prices"]["source"] == "none asked for: no instance was created"


def test_a_cost_that_nobody_can_tell_is_none_with_the_reason() -> None:
    cost = bill([instance("x9.large", 1.0)])
    assert cost["actual"] is None
    assert cost["prices"]["source"].startswith("The price of EC2 x9.large in eu-west-1 is not")


def test_cost_explorer_takes_the_reports_question_as_it_is() -> None:
    question = bill([instance("m6g.large", 1.0)])["cost_explorer"]
    assert question["TimePeriod"] == {"Start": "2026-11-30", "End": "2026-12-02"}
    explorer = boto3.client("ce", region_name="us-east-1")
    with Stubber(explorer) as stub:
        stub.add_response("get_cost_and_usage", {"ResultsByTime": []}, question)
        explorer.get_cost_and_usage(**question)


def test_the_question_asks_for_what_bears_the_tags_of_the_run() -> None:
    query = cost_query("nightly-7", START.date(), START.date())
    tags = [each["Tags"] for each in query["Filter"]["And"]]  # type: ignore[index]
    assert {tag["Key"]: tag["Values"] for tag in tags} == {
        "project": ["fruit-features"],
        "run_key": ["nightly-7"],
    }


def test_the_documentation_says_how_long_the_recorded_cluster_can_have_lived() -> None:
    """The recorded run cost 1.69 EUR; its hours are not known."""
    text = " ".join(DOCS.read_text("utf-8").split())
    found = re.search(r"1\.69 EUR are ([\d.]+) hours at the on-demand price, or ([\d.]+) hours at 65 %", text)
    assert found
    at_bound, at_share = map(float, found.groups())
    assert recorded_eur(at_bound, 1.0) == pytest.approx(1.69, abs=0.02)
    assert recorded_eur(at_share, 0.65) == pytest.approx(1.69, abs=0.02)


def recorded_eur(hours: float, spot_share: float) -> float:
    """EC2, EMR and EBS of an m6g.xlarge and two m6g.large, all Spot, in eu-west-1."""
    nodes = [NodeUse(name, "SPOT", hours * 3600) for name in ("m6g.xlarge", "m6g.large", "m6g.large")]
    spot = {node.instance_type: spot_share * IRELAND.on_demand[node.instance_type] for node in nodes}
    return total_usd(invoice_lines(nodes, NO_S3, replace(IRELAND, spot=spot))) / Deployment().usd_per_eur


def test_a_cluster_left_to_people_is_billed_to_the_end_of_that_time() -> None:
    running = [instance("m6g.large", None)]
    now = bill(running)
    later = bill(running, until=(NOW + timedelta(hours=1)).isoformat())
    assert [line["service"].split(", ")[2] for line in (now["lines"][0], later["lines"][0])] == [
        "3.00 h",
        "4.00 h",
    ]
    assert later["actual"] > now["actual"]
    assert bill(running, until=(NOW - timedelta(hours=1)).isoformat())["actual"] == now["actual"]
