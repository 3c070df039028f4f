"""EC2 types that may replace the type that a run asks for.

The more types a fleet may choose from, the more Spot pools it has and the less often one runs dry. All
have the processor, the size (so the vCPUs) and at least the memory of the type asked for, which is
always the first and the smallest: Spark's settings are made for it and fit all of them.
"""

from functools import cache
from typing import Final

from fruit_pipeline.cost.prices import snapshot_on_demand
from fruit_pipeline.settings.parameters import RunParameters

_FAMILIES: Final = {
    "c6g": ("c7g", "m6g", "m7g", "r6g"),
    "c7g": ("c6g", "m6g", "m7g", "r6g"),
    "m6g": ("m7g", "r6g"),
    "m7g": ("m6g", "r6g"),
    "r6g": ("r7g",),
    "r7g": ("r6g",),
}
"""Graviton families that may stand in for each other: never with less memory. An r7g comes only for its
like, for it costs 40 % more than an m6g."""


@cache
def may_come(instance_type: str, region: str, diversify: bool) -> tuple[str, ...]:
    """The type asked for and what may come in its place, of which the snapshot has prices in ``region``.

    What has no price cannot be in the worst case of a run, and so cannot be let come.
    """
    family, _, size = instance_type.partition(".")
    others = [f"{other}.{size}" for other in _FAMILIES[family]] if diversify else []
    return (instance_type, *snapshot_on_demand(region, others))


def primary_types(parameters: RunParameters) -> tuple[str, ...]:
    return may_come(parameters.primary_type, parameters.region, parameters.diversify)


def worker_types(parameters: RunParameters) -> tuple[str, ...]:
    """Of a run whose fleet is known."""
    return may_come(parameters.fleet.worker_type, parameters.region, parameters.diversify)
