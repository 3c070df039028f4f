"""Remove an installation: its clusters, its objects, its stack, and what EMR added.

CloudFormation deletes an empty bucket only, and cannot delete a network in which EMR has put
something of its own.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote_plus

from fruit_pipeline.aws.deletion import delete_objects
from fruit_pipeline.cluster import reaper
from fruit_pipeline.cluster.termination import terminate_and_wait
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings.deployment import PROJECT
from infra.account_clients import Account
from infra.stack import Stack, StackError

log = logging.getLogger(__name__)

_EMR_ENDPOINT: Final = "emr-service-vpce"
"""The Name tag of the endpoint that EMR's service role may add to a VPC (AmazonEMRServicePolicy_v2)."""
_ATTEMPTS: Final = 3
"""EMR may deliver a log after the bucket was emptied, and the stack's deletion then fails."""
_POLL_SECONDS: Final = 10.0


def end_clusters(account: Account, installation: str, poll_seconds: float = _POLL_SECONDS) -> list[str]:
    """End every cluster of the installation, in every EU region, and wait until it has ended; its ids."""
    clients = {region: account.client("emr", region) for region in EU_REGIONS}
    done = reaper.sweep(clients.items(), installation, datetime.now(UTC), None, dry_run=False, reap_all=True)
    if done.failed:
        raise StackError(f"Clusters could not be ended, so nothing was removed: {done.failed}")
    for found in done.findings:
        terminate_and_wait(clients[found.region], [found.cluster_id], poll_seconds)
    return done.terminated


def clusters(account: Account, installation: str) -> list[str]:
    """What :func:`end_clusters` would end, in words."""
    pairs = [(region, account.client("emr", region)) for region in EU_REGIONS]
    found = reaper.sweep(pairs, installation, datetime.now(UTC), None, dry_run=True, reap_all=True)
    return [f"{each.region} {each.cluster_id} {each.name} {each.state}" for each in found.findings]


def count(s3: Any, bucket: str, prefix: str = "") -> int:
    """Objects, old versions, deletion markers and unfinished uploads in a bucket, or below a prefix of it."""
    return sum(len(page) for page in _versions(s3, bucket, prefix)) + len(list(_uploads(s3, bucket, prefix)))


def empty(s3: Any, bucket: str, prefix: str = "") -> int:
    """Delete every version of every object, and unfinished uploads; how many there were."""
    deleted = 0
    for page in _versions(s3, bucket, prefix):
        if refused := delete_objects(s3, bucket, page):
            first = refused[0]
            raise StackError(
                f"{len(refused)} objects of {bucket!r} could not be deleted, such as "
                f"{first['Key']!r} ({first['Code']}): allow s3:DeleteObjectVersion, and run it again."
            )
        deleted += len(page)
    for upload in _uploads(s3, bucket, prefix):
        s3.abort_multipart_upload(Bucket=bucket, **upload)
        deleted += 1
    return deleted


def _versions(s3: Any, bucket: str, prefix: str) -> Iterator[list[dict[str, str]]]:
    """The versions and deletion markers page by page, as DeleteObjects wants them."""
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, **_below(prefix)):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        if found:
            yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]


def _uploads(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, str]]:
    """The unfinished uploads. Of this listing botocore neither asks for encoded keys nor decodes them."""
    markers: dict[str, str] = {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, EncodingType="url", **_below(prefix), **markers)
        for each in page.get("Uploads", []):
            yield {"Key": unquote_plus(each["Key"]), "UploadId": each["UploadId"]}
        if not page["IsTruncated"]:
            return
        key, upload = unquote_plus(page["NextKeyMarker"]), page["NextUploadIdMarker"]
        markers = {"KeyMarker": key, "UploadIdMarker": upload}


def _below(prefix: str) -> dict[str, str]:
    return {"Prefix": prefix} if prefix else {}


def delete_stack(account: Account, stack: Stack) -> None:
    """Empty the bucket and delete the stack, again where something arrived in between."""
    for attempt in range(1, _ATTEMPTS + 1):
        made = {each["LogicalResourceId"]: each.get("PhysicalResourceId", "") for each in stack.resources()}
        bucket = _bucket_there(account, made.get("Bucket", ""))
        if bucket:
            log.info("%d objects and versions deleted from %s", empty(account.client("s3"), bucket), bucket)
        if made.get("Vpc"):
            _remove_emr_endpoints(account.client("ec2"), made["Vpc"])
        try:
            stack.delete()
            return
        except StackError as error:
            if attempt == _ATTEMPTS:
                raise
            log.warning("%s (attempt %d of %d)", error, attempt, _ATTEMPTS)


def _bucket_there(account: Account, bucket: str) -> str | None:
    """The bucket, unless an attempt before has deleted it already."""
    pages = account.client("s3").list_buckets()["Buckets"]
    return next((each["Name"] for each in pages if each["Name"] == bucket), None)


def _remove_emr_endpoints(ec2: Any, vpc: str) -> None:
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "tag:Name", "Values": [_EMR_ENDPOINT]}]
    found = ec2.describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    if found:
        ids = [each["VpcEndpointId"] for each in found]
        ec2.delete_vpc_endpoints(VpcEndpointIds=ids)
        log.info("Asked EC2 to delete what EMR had put into the network: %s", ", ".join(ids))


def leftovers(account: Account, installation: str) -> list[str]:
    """ARNs of what still bears the installation's tags in the region, ended clusters aside."""
    tags = [{"Key": "project", "Values": [PROJECT]}, {"Key": "installation", "Values": [installation]}]
    pages = (
        account.client("resourcegroupstaggingapi").get_paginator("get_resources").paginate(TagFilters=tags)
    )
    arns = [each["ResourceARN"] for page in pages for each in page["ResourceTagMappingList"]]
    # EMR remembers ended clusters for two months, and EC2 ended instances and volumes for an hour.
    return [arn for arn in arns if not any(part in arn for part in (":cluster/", ":instance/", ":volume/"))]
