"""Check with AWS that everything a run touches lies in the EU.

Asked before anything costs money, and again before each step is added: a bucket's replication or
a connection can be changed while a cluster starts.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from botocore.exceptions import ClientError

from fruit_pipeline.security.regions import (
    EU_REGIONS,
    SERVICES,
    ResidencyError,
    check_arns,
    check_endpoint,
    check_environment,
    check_region,
)

_S3_URI: Final = re.compile(r"\bs3[an]?://([^/\s\"']+)")


def check(client: Callable[[str], Any], region: str, bucket: str, *documents: Any) -> None:
    """Raise ``ResidencyError`` unless the run stays in the EU.

    ``client`` gives the client of a service as the run would use it. ``bucket`` must lie in
    ``region``; every other bucket that the ``documents`` name (a RunJobFlow request, a cluster's
    description, a step) must lie in the EU, and so must every bucket that these are replicated
    to.
    """
    check_region(region, "Region")
    check_environment(os.environ)
    for service in SERVICES:
        check_client(client(service), service)
    check_arns(_texts(documents), "The run's request")
    s3 = client("s3")
    location = location_of(s3, bucket)
    if location != region:
        raise ResidencyError(
            f"Bucket {bucket!r} lies in {location} but the run asks for {region}: set region={location}, "
            f"or use a bucket in {region}."
        )
    for name in sorted({bucket} | buckets_in(*documents)):
        location_of(s3, name)
        check_replication(s3, name)


def check_connection(extra: Mapping[str, Any]) -> None:
    """Every endpoint in the extra of Airflow's AWS connection.

    To be asked before a client is made: a connection with a role asks its STS endpoint for
    credentials while that happens.
    """
    for name, url in _endpoints_in(extra):
        check_endpoint(url, f"{name} of the AWS connection")


def check_client(client: Any, service: str) -> None:
    """Where the client's requests really go, whatever decided it: region, connection or environment."""
    check_endpoint(client.meta.endpoint_url, f"The endpoint of {service}")
    # The client's own address does not show it: S3 Transfer Acceleration answers from anywhere.
    if (client.meta.config.s3 or {}).get("use_accelerate_endpoint"):
        raise ResidencyError(
            f"The client of {service} uses S3 Transfer Acceleration, whose endpoint has no region: "
            "set use_accelerate_endpoint to false."
        )


def location_of(s3: Any, bucket: str) -> str:
    """The EU region of a bucket; a bucket elsewhere, or nowhere to be seen, is refused."""
    try:
        location = s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] or "us-east-1"
    except ClientError as error:
        raise ResidencyError(
            f"Bucket {bucket!r} cannot be used ({_code(error)} when asked for its region): create it in an "
            "EU region, allow s3:GetBucketLocation, or name another one."
        ) from error
    # "EU" is what S3 still answers for old buckets in Ireland.
    location = {"EU": "eu-west-1"}.get(location, location)
    if location not in EU_REGIONS:
        raise ResidencyError(
            f"Bucket {bucket!r} lies in {location}, outside the EU: use one in {', '.join(EU_REGIONS)}."
        )
    return str(location)


def check_replication(s3: Any, bucket: str) -> None:
    """Every replication rule ends in the EU, disabled ones too: they can be enabled during a run."""
    try:
        rules = s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"]["Rules"]
    except ClientError as error:
        if _code(error) == "ReplicationConfigurationNotFoundError":
            return
        raise ResidencyError(
            f"The replication of bucket {bucket!r} cannot be read ({_code(error)}): allow "
            "s3:GetReplicationConfiguration."
        ) from error
    for rule in rules:
        destination = rule["Destination"]["Bucket"].rpartition(":")[2]
        try:
            location_of(s3, destination)
        except ResidencyError as error:
            raise ResidencyError(
                f"Bucket {bucket!r} is replicated by rule {rule.get('ID', '')!r}, which must end in the EU. "
                f"{error}"
            ) from error


def buckets_in(*documents: Any) -> set[str]:
    """The buckets of every S3 address in nested dicts and lists."""
    return {bucket for text in _texts(documents) for bucket in _S3_URI.findall(text)}


def _texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, Mapping):
        for value in document.values():
            yield from _texts(value)
    elif isinstance(document, list | tuple):
        for value in document:
            yield from _texts(value)


def _endpoints_in(extra: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every ``endpoint_url`` of a connection, its services' own ones too, with where it stands."""
    for name, value in extra.items():
        if isinstance(value, Mapping):
            yield from _endpoints_in(value, f"{path}{name}.")
        elif name.endswith("endpoint_url") and value:
            yield f"{path}{name}", str(value)


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
