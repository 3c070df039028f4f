"""The machines a RunJobFlow request asks for, as groups or as fleets. They exist on paper only."""

import random
import secrets
from math import ceil
from typing import Any

from local_aws.emr.cluster_data import Cluster, Collection, Instance, Market, new_id

# Units of normalized instance hours per hour, by size: EMR's guide, "NormalizedInstanceHours".
_SIZE_UNITS = {"small": 1, "medium": 2, "large": 4, "xlarge": 8}


def provision(cluster: Cluster, now: float) -> None:
    """Give a new cluster its collections and, for each, its instances."""
    wanted = cluster.request["Instances"]
    if wanted.get("InstanceFleets"):
        for config in wanted["InstanceFleets"]:
            _add_fleet(cluster, config, now)
    else:
        for config in group_configs(wanted):
            _add_group(cluster, config, now)


def group_configs(wanted: dict[str, Any]) -> list[dict[str, Any]]:
    """The instance groups of a request, also where it uses the short form (a type and a count)."""
    if wanted.get("InstanceGroups"):
        groups: list[dict[str, Any]] = wanted["InstanceGroups"]
        return groups
    primary = wanted["MasterInstanceType"]
    count = wanted.get("InstanceCount", 1)
    groups = [{"InstanceRole": "MASTER", "InstanceType": primary, "InstanceCount": 1}]
    if count > 1:
        core = wanted.get("SlaveInstanceType", primary)
        groups.append({"InstanceRole": "CORE", "InstanceType": core, "InstanceCount": count - 1})
    return groups


def normalized_hours(cluster: Cluster, now: float) -> int:
    """An approximation of EMR's NormalizedInstanceHours: size units times hours begun."""
    total = 0
    for instance in cluster.instances:
        if instance.ready_at is not None:
            hours = ceil(max(1.0, (instance.ended_at or now) - instance.ready_at) / 3600)
            total += hours * _units(instance.type)
    return total


def _units(instance_type: str) -> int:
    size = instance_type.partition(".")[2]
    if size.endswith("xlarge") and size != "xlarge":
        factor = size.removesuffix("xlarge")
        return _SIZE_UNITS["xlarge"] * int(factor) if factor.isdigit() else _SIZE_UNITS["xlarge"]
    return _SIZE_UNITS.get(size, 1)


def _add_group(cluster: Cluster, config: dict[str, Any], now: float) -> None:
    role = config["InstanceRole"]
    group = Collection(
        id=new_id("ig"),
        kind="INSTANCE_GROUP",
        role=role,
        name=config.get("Name", role.title()),
        request=config,
    )
    cluster.collections.append(group)
    market: Market = config.get("Market", "ON_DEMAND")
    for _ in range(config["InstanceCount"]):
        cluster.instances.append(_instance(group, config["InstanceType"], market, 1, now))


def _add_fleet(cluster: Cluster, config: dict[str, Any], now: float) -> None:
    role = config["InstanceFleetType"]
    fleet = Collection(
        id=new_id("if"),
        kind="INSTANCE_FLEET",
        role=role,
        name=config.get("Name", role.title()),
        request=config,
    )
    cluster.collections.append(fleet)
    # Which type Spot would give cannot be known here: the first one listed is always available.
    first = (config.get("InstanceTypeConfigs") or [{"InstanceType": "m6g.xlarge"}])[0]
    weight = first.get("WeightedCapacity") or 1
    targets: list[tuple[Market, str]] = [
        ("ON_DEMAND", "TargetOnDemandCapacity"),
        ("SPOT", "TargetSpotCapacity"),
    ]
    for market, target in targets:
        for _ in range(ceil(config.get(target, 0) / weight)):
            cluster.instances.append(_instance(fleet, first["InstanceType"], market, weight, now))


def _instance(
    collection: Collection, instance_type: str, market: Market, weight: int, now: float
) -> Instance:
    return Instance(
        ec2_id="i-" + secrets.token_hex(9)[:17],
        private_ip=f"172.31.{random.randrange(16, 32)}.{random.randrange(4, 250)}",
        collection_id=collection.id,
        role=collection.role,
        type=instance_type,
        market=market,
        weight=weight,
        created_at=now,
    )
