"""Promise: what EMR's own lists lack is refused before anything is created, with the nearest that they have.

The lists are those that moto has recorded of EMR.
"""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from fruit_pipeline.cluster import offers
from fruit_pipeline.cluster.offers import NotOfferedError
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from fruit_pipeline.settings.parameters import ParameterError, RunParameters
from fruit_pipeline.settings.releases import TESTED_RELEASES

REGION = "eu-west-1"


@pytest.fixture
def emr() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client("emr", region_name=REGION)


class Lacking:
    """EMR's lists, in pages, without some of what is in them."""

    def __init__(self, emr: Any, *names: str) -> None:
        self._emr, self._names = emr, names

    def list_supported_instance_types(self, **call: str) -> dict[str, Any]:
        begin = int(call.pop("Marker", "0"))
        types = self._emr.list_supported_instance_types(**call)["SupportedInstanceTypes"]
        left = [each for each in types if each["Type"] not in self._names]
        following = {"Marker": str(begin + 100)} if begin + 100 < len(left) else {}
        return {"SupportedInstanceTypes": left[begin : begin + 100], **following}

    def list_release_labels(self, **call: str) -> dict[str, Any]:
        begin = int(call.pop("NextToken", "0"))
        labels = self._emr.list_release_labels(**call)["ReleaseLabels"]
        left = [each for each in labels if each not in self._names]
        following = {"NextToken": str(begin + 20)} if begin + 20 < len(left) else {}
        return {"ReleaseLabels": left[begin : begin + 20], **following}


@pytest.mark.parametrize("label", TESTED_RELEASES)
def test_emr_has_every_type_that_a_run_can_choose(emr: Any, label: str) -> None:
    assert set(OFFERED_TYPES) <= offers.instance_types(emr, label)


@pytest.mark.parametrize("asked", ["m6g.large", "m7g.large", "r6g.medium", "r7g.large"])
def test_a_type_that_is_too_small_for_emr_is_refused_with_the_nearest(emr: Any, asked: str) -> None:
    assert asked not in offers.instance_types(emr, TESTED_RELEASES[0])
    family = asked.partition(".")[0]
    with pytest.raises(ParameterError) as refused:
        RunParameters.checked({"worker_type": asked})
    said = f"Parameter worker_type is '{asked}': EMR has no Graviton type below xlarge, so choose {family}."
    assert str(refused.value).startswith(f"{said}xlarge")


@pytest.mark.parametrize(
    ("parameter", "asked", "said"),
    [
        ("primary_type", "p4d.24xlarge", "the steps' runtime is for Graviton, so choose m6g.xlarge"),
        ("worker_type", "m6g.8xlarge", "it is none of the sizes that a run can choose, so choose m6g.xlarge"),
        (
            "worker_type",
            "c6g.xlarge",
            "its 8 GiB are too few for a driver beside an executor, so choose",
        ),
        ("primary_type", "", "the steps' runtime is for Graviton"),
    ],
)
def test_any_other_type_is_refused_with_its_reason(parameter: str, asked: str, said: str) -> None:
    with pytest.raises(ParameterError) as refused:
        RunParameters.checked({parameter: asked})
    assert str(refused.value).startswith(f"Parameter {parameter} is '{asked}': {said}")


def test_what_emr_offers_is_accepted(emr: Any) -> None:
    for label in TESTED_RELEASES:
        offers.check(Lacking(emr), RunParameters(release_label=label))


def test_a_release_that_the_region_lacks_is_refused_with_the_nearest(emr: Any) -> None:
    with pytest.raises(NotOfferedError) as refused:
        offers.check(Lacking(emr, "emr-7.13.0"), RunParameters())
    assert str(refused.value) == (
        "Parameter release_label is 'emr-7.13.0', and EMR does not offer it in eu-west-1: choose emr-7.14.0."
    )
    with pytest.raises(NotOfferedError, match=r"'emr-7.99.0', .* choose emr-7.14.0\.$"):
        offers.check(Lacking(emr), RunParameters(release_label="emr-7.99.0"))
    with pytest.raises(NotOfferedError, match=r"'emr-spark-8.1.0', .* choose emr-spark-8.0.0\.$"):
        offers.check(Lacking(emr, "emr-spark-8.1.0"), RunParameters(release_label="emr-spark-8.1.0"))


def test_a_type_that_the_region_lacks_is_refused_with_the_nearest(emr: Any) -> None:
    with pytest.raises(NotOfferedError) as refused:
        offers.check(Lacking(emr, "m7g.2xlarge"), RunParameters(worker_type="m7g.2xlarge"))
    assert str(refused.value) == (
        "Parameter worker_type is 'm7g.2xlarge', and EMR does not offer it with emr-7.13.0 in eu-west-1: "
        "choose m7g.xlarge, m7g.4xlarge or m6g.2xlarge."
    )


def test_a_type_that_may_come_in_place_of_another_is_refused_unless_none_may(emr: Any) -> None:
    lacking = Lacking(emr, "r6g.xlarge")
    with pytest.raises(NotOfferedError, match=r"r6g\.xlarge with .*, which may come in place"):
        offers.check(lacking, RunParameters())
    offers.check(lacking, RunParameters(diversify=False))
