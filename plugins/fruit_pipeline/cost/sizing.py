"""Choose the cheapest fleet that keeps the deadline and the budget.

``workers=auto`` leaves the number to this module, ``worker_type=auto`` the type. What a fleet takes
and costs is :mod:`fruit_pipeline.cost.estimate`'s; the budget is held against the worst case, as always.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fruit_contract.report_schema import ChosenFleet, ExpectedSizing
from fruit_contract.s3_limits import READS_A_SECOND
from fruit_pipeline.cost import estimate as arithmetic
from fruit_pipeline.cost import prices as price_list
from fruit_pipeline.cost import substitutes
from fruit_pipeline.cost.estimate import Estimate, Workload
from fruit_pipeline.cost.invoice import total_usd
from fruit_pipeline.cost.prices import Prices
from fruit_pipeline.cost.speeds import END_SECONDS, START_SECONDS
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from fruit_pipeline.settings.parameters import (
    AUTO,
    DEFAULT_WORKER_TYPE,
    MOST_WORKERS,
    Fleet,
    ParameterError,
    RunParameters,
)

CHOSEN_FROM: Final = tuple(name for name in OFFERED_TYPES if name.startswith(("m6g.", "m7g.")))
"""General-purpose Graviton. Compute-optimized nodes have half the memory, which leaves Spark's JVM little
beside Python; memory-optimized ones cost more for memory that no step uses."""
LEAST_SPOT_WORKERS: Final = 2
"""A single Spot node has the driver and all of the work: EC2 takes it back, and the run is lost."""
_OUTSIDE_STEPS: Final = START_SECONDS + END_SECONDS


class SizingError(PipelineError):
    """No fleet is fast and cheap enough; one sentence with the nearest one and what to change."""


@dataclass(frozen=True)
class Offer:
    """A fleet, and what the run takes and costs on it."""

    fleet: Fleet
    minutes: float
    """Expected life of the cluster."""
    expected_usd: float
    worst_usd: float


@dataclass(frozen=True)
class Limit:
    """A parameter that bounds the cluster's life, and how much of that life it leaves out."""

    name: str
    value: float
    unit_minutes: float
    left_out_minutes: float = 0.0

    @property
    def minutes(self) -> float:
        return self.value * self.unit_minutes + self.left_out_minutes

    def for_life_of(self, minutes: float) -> float:
        """The least value, in whole minutes or tenths of an hour, that lets the cluster live so long."""
        steps = 1 if self.unit_minutes == 1 else 10
        return math.ceil((minutes - self.left_out_minutes) / self.unit_minutes * steps) / steps


def limits(parameters: RunParameters) -> list[Limit]:
    """What bounds the cluster's life, the tightest first."""
    bounds = [
        Limit("deadline_minutes", parameters.deadline_minutes, 1),
        Limit("max_hours", parameters.max_hours, 60),
        # For one step of the three; that all fit is on the safe side.
        Limit("max_step_hours", parameters.max_step_hours, 60, _OUTSIDE_STEPS / 60),
    ]
    return sorted(bounds, key=lambda limit: limit.minutes)


def types_in_question(parameters: RunParameters) -> tuple[str, ...]:
    """The worker types whose prices a choice needs, or the one that is given.

    The default type beside ``workers=auto`` is taken for a field that nobody touched. Of the types to
    choose from, those that the snapshot prices in the region are asked for; where it prices none, all.
    """
    asked = parameters.worker_type
    if asked == AUTO or (parameters.workers == AUTO and asked == DEFAULT_WORKER_TYPE):
        known = price_list.snapshot_on_demand(parameters.region, CHOSEN_FROM)
        return tuple(name for name in CHOSEN_FROM if name in known) or CHOSEN_FROM
    return (asked,)


def types_to_price(parameters: RunParameters) -> set[str]:
    """Every type that may come, on the fleets that the parameters leave to choose."""
    asked = (parameters.primary_type, *types_in_question(parameters))
    return {
        name
        for asked_type in asked
        for name in substitutes.may_come(asked_type, parameters.region, parameters.diversify)
    }


def offers(parameters: RunParameters, workload: Workload, prices: Prices) -> list[Offer]:
    """Every fleet that the parameters leave to choose; one alone where they name it."""
    given = parameters.workers
    most = parameters.max_workers or MOST_WORKERS
    least = 1 if parameters.spot == "on-demand" else min(LEAST_SPOT_WORKERS, most)
    counts = [given] if isinstance(given, int) else range(least, most + 1)
    choices = (Fleet(name, count) for name in types_in_question(parameters) for count in counts)
    return [_offer(parameters.with_fleet(fleet), workload, prices) for fleet in choices]


def _offer(sized: RunParameters, workload: Workload, prices: Prices) -> Offer:
    sums: Estimate = arithmetic.estimate(sized, workload, prices)
    return Offer(
        fleet=sized.fleet,
        minutes=arithmetic.expected_hours(sized, workload) * 60,
        expected_usd=total_usd(sums.expected),
        worst_usd=total_usd(sums.worst),
    )


def choose(
    parameters: RunParameters, workload: Workload, prices: Prices, usd_per_eur: float
) -> RunParameters:
    """The parameters with the cheapest fleet, by expected cost, that keeps to the limits and the budget.

    Parameters that name a fleet come back as they are. Of equally cheap fleets the faster is taken.
    Raises :class:`SizingError` when none fits, ``PriceError`` for no images or a type without a price.
    """
    if parameters.is_sized:
        return parameters
    offered = offers(parameters, workload, prices)
    fitting = _fitting(offered, parameters, usd_per_eur)
    if not fitting:
        raise SizingError(_refusal(offered, parameters, workload, prices, usd_per_eur))
    best = min(fitting, key=lambda offer: (offer.expected_usd, offer.minutes, offer.fleet.workers))
    return parameters.with_fleet(best.fleet)


def _fitting(offered: Iterable[Offer], parameters: RunParameters, usd_per_eur: float) -> list[Offer]:
    longest = limits(parameters)[0].minutes
    affordable = _affordable(offered, parameters, usd_per_eur)
    return [offer for offer in affordable if offer.minutes <= longest]


def _affordable(offered: Iterable[Offer], parameters: RunParameters, usd_per_eur: float) -> list[Offer]:
    return [offer for offer in offered if arithmetic.is_affordable(offer.worst_usd, parameters, usd_per_eur)]


def _refusal(
    offered: list[Offer], parameters: RunParameters, workload: Workload, prices: Prices, usd_per_eur: float
) -> str:
    """The nearest fleets, and the changes after which one does fit: each of them was tried."""
    bounds, tightest = limits(parameters), limits(parameters)[0]
    affordable = _affordable(offered, parameters, usd_per_eur)
    in_time = [offer for offer in offered if offer.minutes <= tightest.minutes]

    def time_for(offer: Offer) -> dict[str, float]:
        short = [limit for limit in bounds if limit.minutes < offer.minutes]
        return {limit.name: limit.for_life_of(offer.minutes) for limit in short}

    def money_for(offer: Offer) -> dict[str, float]:
        return {"budget_eur": math.ceil(offer.worst_usd / usd_per_eur)}

    nearest: list[str] = []
    tried: list[dict[str, float]] = []
    if affordable:
        fastest = min(affordable, key=lambda offer: (offer.minutes, offer.worst_usd))
        nearest.append(
            f"the fastest that budget_eur allows, {fastest.fleet}, takes {math.ceil(fastest.minutes)} minutes"
        )
        tried.append(time_for(fastest))
    if in_time:
        cheapest = min(in_time, key=lambda offer: (offer.worst_usd, offer.minutes))
        cost = cheapest.worst_usd / usd_per_eur
        nearest.append(f"the cheapest that is in time, {cheapest.fleet}, costs {cost:.2f} EUR at worst")
        sized = parameters.with_fleet(cheapest.fleet)
        lower = arithmetic.fits(sized, workload, prices, usd_per_eur)
        tried += [{"max_hours": lower["max_hours"]}] if "max_hours" in lower else []
        tried.append(money_for(cheapest))
    if not nearest:
        fastest = min(offered, key=lambda offer: (offer.minutes, offer.worst_usd))
        cost = fastest.worst_usd / usd_per_eur
        nearest.append(
            f"the fastest, {fastest.fleet}, takes {math.ceil(fastest.minutes)} minutes and costs "
            f"{cost:.2f} EUR at worst"
        )
        tried.append({**time_for(fastest), **money_for(fastest)})
    ways = [
        _words(change, parameters)
        for change in tried
        if _helps(change, parameters, workload, prices, usd_per_eur)
    ]
    return (
        f"No fleet handles {workload.images:,} images within {tightest.name} {tightest.value:g} and "
        f"budget_eur {parameters.budget_eur:g}: {', and '.join(nearest)}; "
        f"{', or '.join(ways) or 'take fewer images, by a longer input_prefix'}."
    )


def _helps(
    change: dict[str, float],
    parameters: RunParameters,
    workload: Workload,
    prices: Prices,
    usd_per_eur: float,
) -> bool:
    """Whether a fleet fits after the change, which must itself be within the parameters' bounds."""
    try:
        changed = RunParameters.checked({**parameters.model_dump(), **change})
    except ParameterError:
        return False
    return bool(_fitting(offers(changed, workload, prices), changed, usd_per_eur))


def _words(change: dict[str, float], parameters: RunParameters) -> str:
    now = parameters.model_dump()
    parts = [
        f"{'raise' if value > now[name] else 'lower'} {name} to {value:g}" for name, value in change.items()
    ]
    return " and ".join(parts)


def explained(parameters: RunParameters, workload: Workload) -> str:
    """The arithmetic of a run with a known fleet, in one line for the log and the run's page."""
    fleet = parameters.fleet
    cores = arithmetic.workers_of(parameters).cores
    rate = arithmetic.images_per_core_second(parameters)
    steps = arithmetic.step_seconds(parameters, workload) / 60
    minutes = arithmetic.expected_hours(parameters, workload) * 60
    binds = arithmetic.reads_bind(parameters, workload)
    bound = f", at S3's {READS_A_SECOND:,} reads a second" if binds else ""
    return (
        f"{fleet}: {workload.images:,} images at {rate:.0f} a second and core on {cores} cores; the steps "
        f"take {steps:.1f} minutes{bound}, with start and end the cluster lives {minutes:.1f} minutes, "
        f"deadline_minutes is {parameters.deadline_minutes:g}."
    )


def warning(parameters: RunParameters, workload: Workload) -> str | None:
    """What to say of a given fleet that is not expected to be done in its lifetime; None for others."""
    needed = arithmetic.expected_hours(parameters, workload)
    if needed <= parameters.max_hours:
        return None
    return (
        f"{parameters.fleet} is expected to need {needed:.1f} hours, and max_hours {parameters.max_hours:g} "
        "ends the cluster before: raise max_hours, give more workers, or leave them to workers=auto."
    )


def as_expected(asked: RunParameters, sized: RunParameters, workload: Workload) -> ExpectedSizing:
    """What the task ``guards`` hands on of the fleet."""
    return ExpectedSizing(
        chosen=ChosenFleet(worker_type=sized.fleet.worker_type, workers=sized.fleet.workers),
        automatic=not asked.is_sized,
        expected_minutes=arithmetic.expected_hours(sized, workload) * 60,
        arithmetic=explained(sized, workload),
    )
