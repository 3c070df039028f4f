"""What EMR offers in a region: its releases, and the instance types of a release."""

from typing import Any

from fruit_pipeline.cost import substitutes
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.instance_types import OFFERED_TYPES, nearest
from fruit_pipeline.settings.parameters import RunParameters
from fruit_pipeline.settings.releases import nearest_release


class NotOfferedError(PipelineError):
    """EMR has no such release or instance type in the region."""


def instance_types(emr: Any, release_label: str) -> set[str]:
    """The names of ``ListSupportedInstanceTypes``; botocore has no paginator of it."""
    names: set[str] = set()
    page: dict[str, Any] = {}
    while True:
        page = emr.list_supported_instance_types(
            ReleaseLabel=release_label, **({"Marker": page["Marker"]} if page else {})
        )
        names |= {each["Type"] for each in page["SupportedInstanceTypes"]}
        if not page.get("Marker"):
            return names


def releases(emr: Any) -> list[str]:
    """The labels of ``ListReleaseLabels``, newest first; botocore has no paginator of it."""
    labels: list[str] = []
    page: dict[str, Any] = {}
    while True:
        page = emr.list_release_labels(**({"NextToken": page["NextToken"]} if page else {}))
        labels += page["ReleaseLabels"]
        if not page.get("NextToken"):
            return labels


def check(emr: Any, parameters: RunParameters) -> None:
    """Raise :class:`NotOfferedError` for a release or a type that EMR would refuse; the fleet is known."""
    label, region = parameters.release_label, parameters.region
    labels = releases(emr)
    if label not in labels:
        raise NotOfferedError(
            f"Parameter release_label is {label!r}, and EMR does not offer it in {region}: choose "
            f"{nearest_release(label, labels) or 'another region'}."
        )
    there = instance_types(emr, label)
    for name, types in (
        ("primary_type", substitutes.primary_types(parameters)),
        ("worker_type", substitutes.worker_types(parameters)),
    ):
        missing = [each for each in types if each not in there]
        if types[0] in missing:
            like = nearest(types[0], there.intersection(OFFERED_TYPES))
            raise NotOfferedError(
                f"Parameter {name} is {types[0]!r}, and EMR does not offer it with {label} in {region}: "
                f"choose {like}."
            )
        if missing:
            raise NotOfferedError(
                f"EMR does not offer {', '.join(missing)} with {label} in {region}, which may come in place "
                f"of {name} {types[0]!r}: choose diversify=false, or a release that offers them."
            )
