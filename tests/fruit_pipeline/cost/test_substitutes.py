"""A run is warned of instance types that EMR's own list lacks, and of no other."""

import boto3
import pytest
from moto import mock_aws

from fruit_pipeline.cost import substitutes
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from fruit_pipeline.settings.parameters import WORKER_TYPES, RunParameters
from fruit_pipeline.settings.releases import RELEASES


@pytest.fixture(scope="module", params=[RELEASES[0], RELEASES[-1]])
def listed(request: pytest.FixtureRequest) -> set[str]:
    """EMR's list for the oldest and the newest release, as moto has recorded it."""
    with mock_aws():
        emr = boto3.client("emr", region_name="eu-west-1")
        found: set[str] = set()
        marker: dict[str, str] = {}
        while True:
            page = emr.list_supported_instance_types(ReleaseLabel=request.param, **marker)
            found |= {each["Type"] for each in page["SupportedInstanceTypes"]}
            if not page.get("Marker"):
                return found
            marker = {"Marker": page["Marker"]}


def test_what_is_warned_of_is_what_emr_does_not_list(listed: set[str]) -> None:
    for name in WORKER_TYPES:
        said = substitutes.warning(RunParameters(worker_type=name))
        assert (said is None) == (name in listed), name
    for name in OFFERED_TYPES:
        said = substitutes.warning(RunParameters(primary_type=name, worker_type="m6g.xlarge"))
        assert (said is None) == (name in listed), name


def test_the_warning_names_what_happens_and_a_type_that_emr_lists(listed: set[str]) -> None:
    said = substitutes.warning(RunParameters(primary_type="c6g.large"))
    assert said is not None
    assert "lacks c6g.large and m6g.large: where the account refuses it, create_cluster fails" in said
    assert "primary_type=c6g.xlarge worker_type=m6g.xlarge" in said
    assert {"c6g.xlarge", "m6g.xlarge"} <= listed
