"""Nothing that the repository ships names a region or an endpoint outside the EU, but a few by name.

First the values: every default, and the requests that are rendered from them. Then the text of
every file that runs, deploys or documents the project.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.session import Session

from fruit_contract.layout import RunLayout
from fruit_pipeline import residency, steps
from fruit_pipeline.artifacts import ArtifactUris
from fruit_pipeline.cluster import job_flow
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.parameters import RunParameters, form
from fruit_pipeline.regions import EU_REGIONS, ResidencyError, check_arns, check_endpoint
from tests.conftest import REPOSITORY
from tests.unit.conftest import planned

EXCEPTIONS: Final = {
    ("plugins/fruit_pipeline/regions.py", "eu-west-2"): "named as outside the Union",
    ("plugins/fruit_pipeline/regions.py", "eu-central-2"): "named as outside the Union",
    ("plugins/fruit_pipeline/regions.py", "iam.amazonaws.com"): "IAM has no regional endpoint",
    ("plugins/fruit_pipeline/regions.py", "iam.global.api.aws"): "IAM has no regional endpoint",
    ("plugins/fruit_pipeline/regions.py", ".vpce.amazonaws.com"): "a suffix that a region stands before",
    ("plugins/fruit_pipeline/residency.py", "us-east-1"): "what an empty answer of GetBucketLocation means",
    ("plugins/fruit_pipeline/live_prices.py", "us-east-1"): "named as another place of the price list",
    ("plugins/fruit_pipeline/live_prices.py", "ap-south-1"): "named as another place of the price list",
    ("plugins/fruit_pipeline/cost_explorer.py", "us-east-1"): "where a person may ask Cost Explorer",
    ("plugins/fruit_pipeline/price_snapshot.json", "us-east-1"): "named in the source of the prices",
    ("docs/cost.md", "us-east-1"): "where a person may ask Cost Explorer",
    ("local_aws/emr/describe.py", "us-east-1"): "hosts there have names of another form",
    ("local_run/account.py", "{service}.amazonaws.com"): "a service principal of IAM, which is no endpoint",
    ("infra/doctor.py", "elasticmapreduce.amazonaws.com"): "a service principal of IAM, which is no endpoint",
    ("infra/doctor.py", "spot.amazonaws.com"): "a service principal of IAM, which is no endpoint",
    ("infra/template.yaml", "ec2.amazonaws.com"): "a service principal of IAM, which is no endpoint",
    ("infra/template.yaml", "elasticmapreduce.amazonaws.com"): "a service principal, which is no endpoint",
    ("infra/template.yaml", "s3.amazonaws.com"): "a service principal of IAM, which is no endpoint",
    ("infra/template.yaml", "Region}.amazonaws.com"): "a bucket of Amazon Linux in the stack's own region",
    ("infra/template.yaml", "Region}.emr.amazonaws.com"): "a bucket of EMR in the stack's own region",
    ("bench/object_store.py", "s3.amazonaws.com"): "the XML namespace of S3, which is no endpoint",
    ("bench/generated_bucket.py", "s3.amazonaws.com"): "the XML namespace of S3, which is no endpoint",
    ("docs/security.md", "eu-west-2"): "named as outside the Union",
    ("docs/security.md", "eu-central-2"): "named as outside the Union",
    ("docs/security.md", "eusc-de-east-1"): "named as not offered",
    ("docs/security.md", "iam.amazonaws.com"): "named as the one global endpoint that is used",
    ("docs/security.md", "s3.amazonaws.com"): "named as refused",
}
"""What may stand where, and why."""

FOLDERS: Final = (
    "plugins",
    "dags",
    "spark",
    "local_run",
    "upload",
    "local_aws",
    "artifacts",
    "docs",
    "infra",
    "docker",
    "bench",
    "notebooks",
    "chaos",
    "requirements",
    ".ci",
)
TEXT: Final = {
    ".py",
    ".md",
    ".json",
    ".yaml",
    ".yml",
    ".toml",
    ".txt",
    ".in",
    ".sh",
    ".cfg",
    ".ini",
    ".env",
    ".ipynb",
}

_SESSION = Session()
_KNOWN = {
    region
    for partition in _SESSION.get_available_partitions()
    for service in ("s3", "emr", "ec2")
    for region in _SESSION.get_available_regions(service, partition, allow_non_regional=False)
}
REGION: Final = re.compile(
    # By form, so that a region that botocore does not know yet is found as well.
    r"(?<![A-Za-z0-9-])(?:(?:us|eu|ap|sa|ca|me|af|il|mx|cn)(?:-(?:gov|iso[a-z]?))?|eusc-[a-z]{2})"
    r"-(?:north|south|east|west|central)(?:east|west)?-\d(?!\d)"
)
ENDPOINT: Final = re.compile(r"[\w.{}*-]+\.(?:amazonaws\.(?:com(?:\.cn)?|eu)|api\.aws)(?![\w.-]*\w)")


def found_in(text: str) -> set[str]:
    """Regions outside the EU, and endpoints that the pipeline would refuse or that are exceptions."""
    regions = {name for name in REGION.findall(text) if name not in EU_REGIONS}
    return regions | {host for host in ENDPOINT.findall(text) if not _is_plainly_inside(host)}


def _is_plainly_inside(host: str) -> bool:
    try:
        check_endpoint(f"https://{host}", "It")
    except ResidencyError:
        return False
    return not host.startswith("iam.")


def files() -> Iterator[Path]:
    yield from (path for path in sorted(REPOSITORY.iterdir()) if path.is_file() and _is_text(path))
    for folder in FOLDERS:
        yield from (
            path for path in sorted((REPOSITORY / folder).rglob("*")) if path.is_file() and _is_text(path)
        )


def _is_text(path: Path) -> bool:
    return path.suffix in TEXT or path.name in ("Makefile", "run") or path.name.startswith("Dockerfile")


# --- what the test itself can see ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('region = "us-east-1"', {"us-east-1"}),
        ("AWS_REGION=eu-west-2", {"eu-west-2"}),
        ("subnet in us-west-2a", {"us-west-2"}),
        ("image: 1.dkr.ecr.us-east-1.amazonaws.com/x", {"us-east-1", "1.dkr.ecr.us-east-1.amazonaws.com"}),
        ("url: https://s3.amazonaws.com/bucket", {"s3.amazonaws.com"}),
        ("https://sts.amazonaws.com.", {"sts.amazonaws.com"}),
        ("eusc-de-east-1 us-gov-west-1 cn-north-1", {"eusc-de-east-1", "us-gov-west-1", "cn-north-1"}),
        ("iam.amazonaws.com", {"iam.amazonaws.com"}),
        ("s3.eu-west-1.amazonaws.com eu-west-3 com.amazonaws.auth", set()),
    ],
)
def test_a_stray_region_or_endpoint_is_found(text: str, found: set[str]) -> None:
    assert found_in(text) == found


def test_every_region_that_botocore_knows_is_recognised() -> None:
    assert len(_KNOWN) > 30
    assert {region for region in _KNOWN if not REGION.fullmatch(region)} == set()


# --- values -----------------------------------------------------------------------------------------


def rendered() -> Iterator[tuple[str, Any]]:
    """Every default, and every request that is made of the defaults."""
    deployment, parameters = Deployment(), RunParameters()
    layout = RunLayout(parameters.bucket, "run-1")
    uris = ArtifactUris(*(f"s3://{parameters.bucket}/artifacts/{name}" for name in "abcdef"))
    yield "Deployment", json.loads(deployment.model_dump_json())
    yield "RunParameters", parameters.model_dump()
    yield "the form", {name: parameter.serialize() for name, parameter in form().items()}
    yield "the job flow", job_flow(parameters, deployment, uris.hard_lifetime, "fruit_features", "run-1")
    yield "the featurize step", steps.featurize_step(parameters, layout, uris, planned())
    yield "the reduce step", steps.reduce_step(parameters, layout, uris, planned())


@pytest.mark.parametrize(("name", "document"), rendered(), ids=[name for name, _ in rendered()])
def test_no_default_and_no_request_leaves_the_eu(name: str, document: Any) -> None:
    text = json.dumps(document)
    assert found_in(text) == set(), f"{name} names what lies outside the EU"
    check_arns([text], name)


def test_everything_a_run_touches_lies_in_its_own_bucket() -> None:
    # The form's values are the parameters'; besides them it has words, with an address for an example.
    named = residency.buckets_in(*(document for name, document in rendered() if name != "the form"))
    assert named == {Deployment().bucket}


def test_the_default_region_is_in_the_eu() -> None:
    assert Deployment.model_fields["region"].default in EU_REGIONS
    assert RunParameters().region in EU_REGIONS


# --- text -------------------------------------------------------------------------------------------


def test_no_file_names_a_region_or_an_endpoint_outside_the_eu() -> None:
    seen = {
        (path.relative_to(REPOSITORY).as_posix(), name)
        for path in files()
        for name in found_in(path.read_text(errors="replace"))
    }
    assert seen - EXCEPTIONS.keys() == set(), (
        "keep to the EU, or add the name to EXCEPTIONS with the reason for it"
    )
    assert EXCEPTIONS.keys() - seen == set(), "these exceptions are no longer needed: remove them"


def test_the_files_that_matter_are_walked() -> None:
    walked = {path.relative_to(REPOSITORY).as_posix() for path in files()}
    assert {
        "Makefile",
        "README.md",
        "pyproject.toml",
        ".ci/run",
        "dags/fruit_features.py",
        "plugins/fruit_pipeline/deployment.py",
        "spark/featurize.py",
        "local_run/stack.py",
        "local_aws/server.py",
        "docs/security.md",
    } <= walked
