"""List prices, as a dated snapshot, and what a cluster costs at most.

Source: AWS's public price lists for EC2 on-demand (Linux), EMR on EC2 and EBS gp3 in eu-west-1.
The EMR fee is charged per instance-hour on top of EC2's price, Spot or not.
"""

from dataclasses import dataclass
from typing import Final

SNAPSHOT_DATE: Final = "2026-11-01"
EBS_GP3_USD_PER_GB_MONTH: Final = 0.088
EBS_GB_PER_NODE: Final = 32
_HOURS_PER_MONTH: Final = 730


@dataclass(frozen=True)
class InstanceType:
    """One EC2 type: vCPUs, and USD per hour for EC2 on demand and for EMR."""

    vcpus: int
    on_demand: float
    emr_fee: float


OFFERED_TYPES: Final = {
    "m6g.large": InstanceType(2, 0.086, 0.0215),
    "m6g.xlarge": InstanceType(4, 0.172, 0.043),
    "m6g.2xlarge": InstanceType(8, 0.344, 0.086),
    "m6g.4xlarge": InstanceType(16, 0.688, 0.172),
}


@dataclass(frozen=True)
class CostLine:
    """One line of an estimate or an invoice, in USD."""

    service: str
    usd: float


def node_lines(instance_type: str, count: int, hours: float, role: str) -> list[CostLine]:
    """What ``count`` nodes of one type cost for ``hours`` at the on-demand price.

    EMR's Spot bid defaults to the on-demand price, so no Spot node costs more than this.
    """
    price = OFFERED_TYPES[instance_type]
    node_hours = count * hours
    ebs = EBS_GP3_USD_PER_GB_MONTH * EBS_GB_PER_NODE / _HOURS_PER_MONTH
    what = f"{role} {count} x {instance_type}, {hours:.2f} h"
    return [
        CostLine(f"EC2 {what}, at most the on-demand price", price.on_demand * node_hours),
        CostLine(f"EMR fee {what}", price.emr_fee * node_hours),
        CostLine(f"EBS gp3 {what}", ebs * node_hours),
    ]


def cluster_lines(primary_type: str, worker_type: str, workers: int, hours: float) -> list[CostLine]:
    """The worst case of a whole cluster: every node for ``hours`` at the on-demand price."""
    return node_lines(primary_type, 1, hours, "primary") + node_lines(worker_type, workers, hours, "workers")


def total_usd(lines: list[CostLine]) -> float:
    return sum(line.usd for line in lines)
