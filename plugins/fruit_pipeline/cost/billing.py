"""The cost section of a run's report: estimates and actual cost in EUR, and how sure they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from fruit_contract.layout import run_key
from fruit_contract.report_schema import ClusterFacts, Cost, CostLine, ExchangeRate, GroupCost, PriceFacts
from fruit_pipeline.cost.cost_explorer import cost_query
from fruit_pipeline.cost.estimate import Estimate, Workload, s3_use
from fruit_pipeline.cost.invoice import (
    InvoiceLine,
    NodeUse,
    invoice_lines,
    node_uses,
    total_usd,
    usd_by_group,
)
from fruit_pipeline.cost.live_prices import read_prices
from fruit_pipeline.cost.prices import STALE_AFTER, is_stale
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import Fleet, RunParameters

_WELL_ABOVE: Final = 1.25
"""Of the expected cost. Ours: no spread of real bills is known yet."""


def workload_of(plan: Mapping[str, Any] | None, spent_usd: float = 0.0) -> Workload:
    """The workload from what ``plan`` returned; empty for a run that did not get there."""
    known = plan or {}
    reused = known.get("reused", 0)
    return Workload(
        images=known.get("images", 0) - reused,
        image_bytes=known.get("bytes", 0),
        ignored=known.get("ignored", 0),
        reused=reused,
        spent_usd=spent_usd,
    )


def in_eur(sums: Estimate, deployment: Deployment) -> dict[str, float]:
    """The estimate as the guards hand it to the report."""
    rate = deployment.usd_per_eur
    return {"estimate": total_usd(sums.worst) / rate, "expected": total_usd(sums.expected) / rate}


def groups_in_eur(sums: Estimate, deployment: Deployment) -> list[GroupCost]:
    """Both sums of the estimate by group, as the guards hand them to the report."""
    rate = deployment.usd_per_eur
    worst, expected = usd_by_group(sums.worst), usd_by_group(sums.expected)
    return [
        GroupCost(
            group=group,
            estimate=worst.get(group, 0.0) / rate,
            expected=expected.get(group, 0.0) / rate,
            actual=None,
        )
        for group in dict.fromkeys([*worst, *expected])
    ]


def rate_warning(deployment: Deployment, today: date) -> str | None:
    """What to say in the log of an exchange rate that is old; None of a recent one."""
    if not is_stale(deployment.usd_per_eur_date, today):
        return None
    return (
        f"The exchange rate {deployment.usd_per_eur} USD per EUR is of {deployment.usd_per_eur_date}, "
        f"more than {STALE_AFTER.days} days ago: set FRUITS_USD_PER_EUR and FRUITS_USD_PER_EUR_DATE."
    )


def cost_of(run: RunRecord, deployment: Deployment, pricing: Any, ec2: Any, now: datetime) -> Cost:
    """The cost of a run: of all its clusters, from their instances' own timelines.

    It never raises, for the report must be written. A price that nobody knows is named in its place.
    """
    rate = deployment.usd_per_eur
    try:
        lines, facts = bill(run.clusters, run.parameters, run.plan, pricing, ec2, now)
    except PipelineError as error:
        lines, facts = [], PriceFacts(source=str(error), date=None, stale=False)
    amounts = [CostLine(group=line.group, service=line.service, amount=line.usd / rate) for line in lines]
    return Cost(
        currency="EUR",
        estimate=run.estimate["estimate"] if run.estimate else None,
        expected=run.estimate["expected"] if run.estimate else None,
        actual=sum(line["amount"] for line in amounts) if amounts else None,
        lines=amounts,
        groups=_with_actual(
            run.estimate.get("groups", []) if run.estimate else [], usd_by_group(lines), rate
        ),
        prices=facts,
        exchange=ExchangeRate(
            usd_per_eur=rate,
            date=deployment.usd_per_eur_date.isoformat(),
            stale=is_stale(deployment.usd_per_eur_date, now.date()),
        ),
        # By the key that its clusters are tagged with, which the results need not have.
        cost_explorer=cost_query(
            run_key(run.run_id), run.started_at.astimezone(UTC).date(), now.astimezone(UTC).date()
        ),
    )


def _with_actual(known: Sequence[GroupCost], usd: Mapping[str, float], rate: float) -> list[GroupCost]:
    """Beside the estimate of each group what it costs; a group that was not foreseen comes last."""
    estimated = {each["group"]: each for each in known}
    none = GroupCost(group="", estimate=None, expected=None, actual=None)
    return [
        {
            **estimated.get(group, none),
            "group": group,
            "actual": usd[group] / rate if group in usd else None,
        }
        for group in dict.fromkeys([*estimated, *usd])
    ]


def is_high(cost: Cost, budget_eur: float) -> bool:
    """Whether people would look into a bill: it is well above what was expected, or above the run's budget.

    Not already where it is a little above, as about every second one is: an expectation goes by rates and
    by the Spot price of a moment.
    """
    actual, expected = cost["actual"], cost["expected"]
    if actual is None or expected is None:
        return False
    return actual > _WELL_ABOVE * expected or actual > budget_eur


def _bill_end(cluster: ClusterFacts, now: datetime) -> datetime:
    """Until when nodes cost that have not ended: now, or the end of the time they were left to people for."""
    until = cluster.get("interactive_until")
    return max(now, datetime.fromisoformat(until)) if until else now


def bill(
    clusters: Sequence[ClusterFacts],
    values: Mapping[str, Any],
    plan: Mapping[str, Any] | None,
    pricing: Any,
    ec2: Any,
    now: datetime,
) -> tuple[list[InvoiceLine], PriceFacts]:
    """What the clusters of one run have cost until now, in USD, and by which prices; no line for no instance.

    What was left to people costs to the end of that time. Each cluster is taken to have read all the
    photos of its run's work. ``PriceError`` or ``ParameterError`` where a price or a parameter is not known.
    """
    lives = [node_uses(cluster["instances"], _bill_end(cluster, now)) for cluster in clusters]
    nodes = [node for life in lives for node in life]
    if not nodes:
        return [], PriceFacts(source="none asked for: no instance was created", date=None, stale=False)
    parameters = RunParameters.checked(dict(values))
    if not parameters.is_sized:
        parameters = parameters.with_fleet(_fleet_of(lives))
    created = [
        datetime.fromisoformat(str(instance["created"]))
        for cluster in clusters
        for instance in cluster["instances"]
        if instance["created"]
    ]
    types = {node.instance_type for node in nodes}
    prices = read_prices(parameters.region, types, pricing, ec2, now, min(created))
    longest = [max(node.seconds for node in life) / 3600 for life in lives if life]
    use = s3_use(parameters, workload_of(plan), sum(longest), attempts=len(longest))
    facts = PriceFacts(source=prices.source, date=prices.date.isoformat(), stale=prices.stale)
    return invoice_lines(nodes, use, prices), facts


def _fleet_of(lives: Sequence[Sequence[NodeUse]]) -> Fleet:
    """The workers of a run whose fleet was chosen and is no longer known: of its largest cluster."""
    largest = max(lives, key=len)
    ((worker_type, _),) = Counter(node.instance_type for node in largest).most_common(1)
    return Fleet(worker_type, max(1, len(largest) - 1))
