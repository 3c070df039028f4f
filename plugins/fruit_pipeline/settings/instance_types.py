"""The EC2 types that a run can choose: their processors, memory and disks."""

from typing import Final

from fruit_pipeline.errors import PipelineError

VCPUS: Final = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}
_GIB_PER_VCPU: Final = {"c": 2, "m": 4, "r": 8}
"""Memory by the family's first letter: EC2's instance types, general purpose, compute, memory."""
GRAVITON_FAMILIES: Final = ("m6g", "m7g", "c6g", "c7g", "r6g", "r7g")
OFFERED_TYPES: Final = tuple(f"{family}.{size}" for family in GRAVITON_FAMILIES for size in VCPUS)
"""What a run can choose: Graviton, for the runtime that the steps are shipped with is aarch64."""

EBS_ROOT_GB: Final = 32
"""Asked for with the cluster, as ``EbsRootVolumeSize``."""
_EBS_DATA_GB: Final = {"large": 32, "xlarge": 64, "2xlarge": 128, "4xlarge": 256}
"""What EMR attaches to an instance without its own disks: EMR Management Guide, "Default Amazon
EBS storage for instances" (releases 5.22 and later)."""


class InstanceTypeError(PipelineError):
    """An EC2 type that the pipeline does not know."""


def vcpus(instance_type: str) -> int:
    return VCPUS[_size(instance_type)]


def gib(instance_type: str) -> int:
    """Memory in GiB."""
    return _GIB_PER_VCPU[instance_type[0]] * vcpus(instance_type)


def ebs_gb(instance_type: str) -> int:
    """Root volume and what EMR attaches, in GB."""
    return EBS_ROOT_GB + _EBS_DATA_GB[_size(instance_type)]


def _size(instance_type: str) -> str:
    if instance_type not in OFFERED_TYPES:
        raise InstanceTypeError(
            f"EC2 type {instance_type!r} is unknown here: use one of {', '.join(OFFERED_TYPES)}."
        )
    return instance_type.partition(".")[2]
