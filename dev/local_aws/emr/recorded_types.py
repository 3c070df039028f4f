"""Which instance types EMR offers with which release, as moto has recorded EMR's own answers."""

from functools import cache
from typing import Any

from moto.utilities.utils import load_resource


@cache
def instance_types(label: str) -> dict[str, dict[str, Any]]:
    """What ``ListSupportedInstanceTypes`` says of each type of a release, by its name."""
    names = set(load_resource(f"emr/resources/instance-types-{label}.json"))
    described: dict[str, dict[str, Any]] = load_resource("emr/resources/instance_types.json")
    return {name: each for name, each in described.items() if name in names}
