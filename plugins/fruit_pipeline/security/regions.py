"""Regions, endpoints and ARNs in the European Union. Pure, so that it can run at parse.

Photos and features never leave these regions. What needs AWS's answer to be judged (where a
bucket lies, where it is replicated to) is in :mod:`fruit_pipeline.security.residency`.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from fruit_pipeline.errors import PipelineError

EU_REGIONS: Final = (
    "eu-central-1",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-3",
)
"""Frankfurt, Stockholm, Milan, Spain, Ireland and Paris: partition ``aws`` of botocore's endpoint data.

London (eu-west-2) and Zurich (eu-central-2) are in Europe but not in the Union. The European
Sovereign Cloud (partition ``aws-eusc``) is in the Union, but its accounts, names and prices are
its own, and nothing here has been tried in it: it is not offered.
"""

OPT_IN_REGIONS: Final = frozenset({"eu-south-1", "eu-south-2"})
"""Milan and Spain answer only accounts that have switched them on
(https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html)."""

SERVICES: Final = ("s3", "emr", "ec2", "iam", "sts", "sqs", "sns", "pricing")
"""The services that the pipeline may call, by boto3's names."""

GLOBAL_HOSTS: Final = {
    "iam.amazonaws.com": "IAM has one endpoint for the whole partition; the pipeline only asks it whether "
    "two roles exist, so that names of roles go there, and no photo, feature or S3 key",
    "iam.global.api.aws": "the same endpoint, by its dual-stack name",
}
"""Hosts without a region that are used all the same, and why."""

_AWS_SUFFIXES: Final = (".vpce.amazonaws.com", ".amazonaws.com", ".api.aws")
_ARN: Final = re.compile(r"arn:aws[\w-]*:[\w-]+:([\w-]*):")


class ResidencyError(PipelineError):
    """Something would leave the EU, or cannot be shown to stay; the message says what and where."""


def check_region(region: str, what: str) -> None:
    """``what`` names the setting in the message."""
    if region not in EU_REGIONS:
        raise ResidencyError(f"{what} {region!r} is not in the EU: choose one of {', '.join(EU_REGIONS)}.")


def check_endpoint(url: str, what: str) -> None:
    """The endpoint is on this machine, or is AWS's own in an EU region, over TLS.

    The region is the label before AWS's suffix, in every form that botocore's rules give: plain,
    dual-stack, FIPS and VPC endpoints. A name without a region answers from anywhere.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower().rstrip(".")
    if is_loopback(host):
        return
    region = _region_of_host(host)
    if host not in GLOBAL_HOSTS and region not in EU_REGIONS:
        where = f"names {region!r}, which is not an EU region" if region else "is not AWS's"
        raise ResidencyError(
            f"{what} is {url}, and its host {where}: use a regional endpoint of one of "
            f"{', '.join(EU_REGIONS)}, or none."
        )
    if parts.scheme != "https":
        raise ResidencyError(f"{what} is {url}, which is not encrypted in transit: write it with https.")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _region_of_host(host: str) -> str | None:
    """The label before AWS's suffix, be it a region or not; None where the host is not AWS's."""
    for suffix in _AWS_SUFFIXES:
        if host.endswith(suffix):
            return host.removesuffix(suffix).rpartition(".")[2]
    return None


def check_arns(texts: Iterable[str], what: str) -> None:
    """Every ARN that names a region, such as a KMS key's, names one in the EU."""
    for text in texts:
        for region in _ARN.findall(text):
            if region:
                check_region(region, f"{what} has an ARN whose region")


def check_environment(environ: Mapping[str, str]) -> None:
    """The endpoints that boto3 takes from the environment for the services used here.

    Names: https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html
    """
    for name in ("AWS_ENDPOINT_URL", *(f"AWS_ENDPOINT_URL_{service.upper()}" for service in SERVICES)):
        if url := environ.get(name):
            check_endpoint(url, name)
