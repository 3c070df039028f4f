"""Cost line by line, as an invoice has it: EC2 and EMR by node type and market, EBS, S3.

The estimates before a run and the bill after it are the same lines, over other hours and prices.
EC2, EMR and EBS bill by the second, an instance for a minute at least.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from fruit_pipeline.cost import prices as price_list
from fruit_pipeline.cost.prices import PriceError, Prices
from fruit_pipeline.settings import instance_types

SPOT: Final = "SPOT"
ON_DEMAND: Final = "ON_DEMAND"
_LEAST_SECONDS: Final = 60


@dataclass(frozen=True)
class InvoiceLine:
    """One line of an estimate or an invoice, in USD."""

    group: str
    """The service of AWS, and for EC2 the market."""
    service: str
    """What is counted, in words."""
    usd: float


@dataclass(frozen=True)
class NodeUse:
    """One EC2 instance of the cluster and how long it lived."""

    instance_type: str
    market: str
    """``SPOT`` or ``ON_DEMAND``."""
    seconds: float


@dataclass(frozen=True)
class S3Use:
    """Requests by price class, and GB kept for months."""

    puts: float
    gets: float
    gb_months: float


def billed_hours(seconds: float) -> float:
    """Hours billed for an instance's life; ``PriceError`` for a life that is negative or no number."""
    if not math.isfinite(seconds) or seconds < 0:
        raise PriceError(f"An instance's life is {seconds} s: it must be a number of seconds, 0 or more.")
    return max(_LEAST_SECONDS, math.ceil(seconds)) / 3600


def invoice_lines(nodes: Iterable[NodeUse], s3: S3Use, prices: Prices) -> list[InvoiceLine]:
    """What these instances and S3 cost. A Spot node without a Spot price costs on-demand, its bid."""

    def kind(node: NodeUse) -> tuple[str, str]:
        return node.instance_type, node.market

    lines, gb_hours = [], 0.0
    for (instance_type, market), group in groupby(sorted(nodes, key=kind), key=kind):
        alike = list(group)
        hours = sum(billed_hours(node.seconds) for node in alike)
        gb_hours += hours * instance_types.ebs_gb(instance_type)
        lines += _node_lines(instance_type, market, len(alike), hours, prices)
    lines.append(
        InvoiceLine(
            "EBS",
            f"EBS gp3: {gb_hours:.0f} GB-hours",
            gb_hours * prices.ebs_gb_month / price_list.HOURS_PER_MONTH,
        )
    )
    lines.append(
        InvoiceLine(
            "S3",
            f"S3 requests, counted by rule: {s3.puts:.0f} PUT and LIST, {s3.gets:.0f} GET",
            (s3.puts * prices.s3.put_1000 + s3.gets * prices.s3.get_1000) / 1000,
        )
    )
    lines.append(
        InvoiceLine("S3", f"S3 storage: {s3.gb_months:.2f} GB-months", s3.gb_months * prices.s3.gb_month)
    )
    return lines


def _node_lines(
    instance_type: str, market: str, count: int, hours: float, prices: Prices
) -> list[InvoiceLine]:
    on_demand, fee = prices.on_demand.get(instance_type), prices.emr_fee.get(instance_type)
    if on_demand is None or fee is None:
        raise price_list.unknown_price(instance_type, prices.region)
    group, usd, how = "EC2 on demand", on_demand, "on demand"
    if market == SPOT:
        group = "EC2 Spot"
        usd, how = on_demand, "Spot, at most the on-demand price"
        if instance_type in prices.spot:
            usd, how = prices.spot[instance_type], "at the Spot price"
    nodes = f"{instance_type}, {count} node{'s' * (count > 1)}, {hours:.2f} h"
    return [
        InvoiceLine(group, f"EC2 {nodes}, {how} {usd:.4f} USD/h", usd * hours),
        InvoiceLine("EMR", f"EMR fee {nodes}, {fee:.4f} USD/h", fee * hours),
    ]


def total_usd(lines: Iterable[InvoiceLine]) -> float:
    return math.fsum(line.usd for line in lines)


def usd_by_group(lines: Iterable[InvoiceLine]) -> dict[str, float]:
    """The sum of each group, in the order in which they come."""
    sums: dict[str, float] = {}
    for line in lines:
        sums[line.group] = sums.get(line.group, 0.0) + line.usd
    return sums


def node_uses(instances: Sequence[Mapping[str, Any]], now: datetime) -> list[NodeUse]:
    """The instances of a report's cluster; one that has not ended has lived until ``now``.

    EC2 and EMR are both billed from an instance's creation on: the fee begins a little later, so
    this is at least what EMR asks.
    """
    uses = []
    for instance in instances:
        if instance["created"] is None:
            continue
        created = datetime.fromisoformat(instance["created"])
        ended = datetime.fromisoformat(instance["ended"]) if instance["ended"] else now
        uses.append(
            NodeUse(str(instance["type"]), str(instance["market"]), (ended - created).total_seconds())
        )
    return uses
