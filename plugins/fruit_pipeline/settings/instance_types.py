"""The EC2 types that a run can choose: their processors, memory and disks."""

from collections.abc import Collection
from typing import Final

from fruit_pipeline.errors import PipelineError

VCPUS: Final = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16}
_TOO_SMALL_FOR_EMR: Final = ("medium", "large")
"""EC2 has such Graviton types, and EMR lists them for no release (``ListSupportedInstanceTypes``)."""
_GIB_PER_VCPU: Final = {"c": 2, "m": 4, "r": 8}
"""Memory by the family's first letter: EC2's instance types, general purpose, compute, memory."""
GRAVITON_FAMILIES: Final = ("m6g", "m7g", "c6g", "c7g", "r6g", "r7g")
KNOWN_TYPES: Final = tuple(f"{family}.{size}" for family in GRAVITON_FAMILIES for size in VCPUS)
"""What there are prices of: Graviton, whose runtime the steps are shipped with."""
OFFERED_TYPES: Final = tuple(name for name in KNOWN_TYPES if name.partition(".")[2] not in _TOO_SMALL_FOR_EMR)
"""What a run can choose."""

EBS_ROOT_GB: Final = 32
"""Asked for with the cluster, as ``EbsRootVolumeSize``."""
_EBS_DATA_GB: Final = {"large": 32, "xlarge": 64, "2xlarge": 128, "4xlarge": 256}
"""What EMR attaches to an instance without its own disks: EMR Management Guide, "Default Amazon
EBS storage for instances" (releases 5.22 and later)."""
_NEAREST: Final = 3
"""How many types a refusal names."""


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


def nearest(instance_type: str, among: Collection[str]) -> str:
    """The types of ``among`` that are most like another: of its kind, its family, its size."""
    family, _, size = instance_type.partition(".")

    def distance(name: str) -> tuple[bool, bool, bool]:
        other, _, of_size = name.partition(".")
        return other[:1] != family[:1], other != family, of_size != size

    *others, last = sorted(among, key=lambda name: (distance(name), OFFERED_TYPES.index(name)))[:_NEAREST]
    return f"{', '.join(others)} or {last}" if others else last


def why_not(instance_type: str, among: Collection[str]) -> str:
    """Why a run cannot choose a type that is none of ``among``, and what to choose, after a colon."""
    family, _, size = instance_type.partition(".")
    if instance_type in OFFERED_TYPES:
        reason = f"its {gib(instance_type)} GiB are too few for a driver beside an executor"
    elif family not in GRAVITON_FAMILIES:
        reason = "the steps' runtime is for Graviton"
    elif size in _TOO_SMALL_FOR_EMR:
        reason = "EMR has no Graviton type below xlarge"
    else:
        reason = "it is none of the sizes that a run can choose"
    return f"{reason}, so choose {nearest(instance_type, among)}"


def _size(instance_type: str) -> str:
    if instance_type not in KNOWN_TYPES:
        raise InstanceTypeError(
            f"EC2 type {instance_type!r} is unknown here: use one of {', '.join(OFFERED_TYPES)}."
        )
    return instance_type.partition(".")[2]
