"""The cost section of a run's report: estimates and actual cost in EUR, and how sure they are."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from fruit_contract.report import ClusterFacts, Cost, CostLine, ExchangeRate, PriceFacts
from fruit_pipeline.cost_explorer import cost_query
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.estimate import Estimate, Workload, s3_use
from fruit_pipeline.invoice import invoice_lines, node_uses, total_usd
from fruit_pipeline.live_prices import read_prices
from fruit_pipeline.parameters import ParameterError, RunParameters
from fruit_pipeline.prices import STALE_AFTER, PriceError, Prices, is_stale


def workload_of(planned: Mapping[str, Any] | None) -> Workload:
    """The workload from what ``plan`` returned; empty for a run that did not get there."""
    known = planned or {}
    reused = known.get("reused", 0)
    return Workload(
        images=known.get("images", 0) - reused,
        image_bytes=known.get("bytes", 0),
        ignored=known.get("ignored", 0),
        reused=reused,
    )


def in_eur(found: Estimate, deployment: Deployment) -> dict[str, float]:
    """The estimate as the guards hand it to the report."""
    rate = deployment.usd_per_eur
    return {"estimate": total_usd(found.worst) / rate, "expected": total_usd(found.expected) / rate}


def warnings(prices: Prices, deployment: Deployment, today: date) -> list[str]:
    """What to say in the log of prices and an exchange rate that are old."""
    found = [prices.warning()]
    if is_stale(deployment.usd_per_eur_date, today):
        found.append(
            f"The exchange rate {deployment.usd_per_eur} USD per EUR is of {deployment.usd_per_eur_date}, "
            f"more than {STALE_AFTER.days} days ago: set FRUITS_USD_PER_EUR and FRUITS_USD_PER_EUR_DATE."
        )
    return [warning for warning in found if warning]


def cost_of(
    cluster: ClusterFacts,
    values: Mapping[str, Any],
    planned: Mapping[str, Any] | None,
    deployment: Deployment,
    *,
    estimated: Mapping[str, Any] | None,
    run_key: str,
    started_at: datetime,
    pricing: Any,
    ec2: Any,
    now: datetime,
) -> Cost:
    """The cost of a run from its instances' own timelines. It never raises: the report must be written.

    ``values`` are the run's parameters, valid or not; ``estimated`` is what :func:`in_eur` gave.
    """
    rate = deployment.usd_per_eur
    lines, facts = _bill(cluster, values, planned, pricing, ec2, now)
    amounts = [CostLine(service=line.service, amount=line.usd / rate) for line in lines]
    return Cost(
        currency="EUR",
        estimate=estimated["estimate"] if estimated else None,
        expected=estimated["expected"] if estimated else None,
        actual=sum(line["amount"] for line in amounts) if amounts else None,
        lines=amounts,
        prices=facts,
        exchange=ExchangeRate(
            usd_per_eur=rate,
            date=deployment.usd_per_eur_date.isoformat(),
            stale=is_stale(deployment.usd_per_eur_date, now.date()),
        ),
        cost_explorer=cost_query(run_key, started_at.astimezone(UTC).date(), now.astimezone(UTC).date()),
    )


def _bill_end(cluster: ClusterFacts, now: datetime) -> datetime:
    """Until when nodes cost that have not ended: now, or the end of the time they were left to people for."""
    until = cluster.get("interactive_until")
    return max(now, datetime.fromisoformat(until)) if until else now


def _bill(
    cluster: ClusterFacts,
    values: Mapping[str, Any],
    planned: Mapping[str, Any] | None,
    pricing: Any,
    ec2: Any,
    now: datetime,
) -> tuple[list[Any], PriceFacts]:
    nodes = node_uses(cluster["instances"], _bill_end(cluster, now))
    if not nodes:
        return [], PriceFacts(source="none asked for: no instance was created", date=None, stale=False)
    try:
        parameters = RunParameters.checked(dict(values))
        created = [instance["created"] for instance in cluster["instances"] if instance["created"]]
        since = min(datetime.fromisoformat(str(moment)) for moment in created)
        types = {node.instance_type for node in nodes}
        prices = read_prices(parameters.region, types, pricing, ec2, now, since)
        longest = max(node.seconds for node in nodes) / 3600
        lines = invoice_lines(nodes, s3_use(parameters, workload_of(planned), longest), prices)
    except (PriceError, ParameterError) as error:
        return [], PriceFacts(source=str(error), date=None, stale=False)
    return lines, PriceFacts(source=prices.source, date=prices.date.isoformat(), stale=prices.stale)
