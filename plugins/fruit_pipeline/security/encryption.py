"""Read back from AWS how the bucket, its objects and the cluster are encrypted.

Nothing is taken from what was asked for: the bucket's settings, the objects' own heads and the
cluster's description are read back from AWS.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from fruit_contract.layout import LOGS_PREFIX, RunLayout
from fruit_contract.report_schema import (
    AtRest,
    BucketEncryption,
    ClusterEncryption,
    Encryption,
    ObjectEncryption,
)
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.security.redaction import redacted

_MOST_HEADS: Final = 1000
"""A run leaves some dozens of objects; beyond this a sample of them is asked for its head."""

_MOST_NAMED: Final = 20
_CONNECTIONS: Final = 8
"""Requests at once: below boto3's own pool of ten."""

_Part = TypeVar("_Part")


class EncryptionError(PipelineError):
    """Something of the run is not encrypted; the message says what and how to mend it."""


def seen(s3: Any, emr: Any, layout: RunLayout, cluster_id: str | None) -> Encryption:
    """Everything that can be seen; what AWS would not show is named, and never guessed."""
    not_seen: dict[str, str] = {}
    return Encryption(
        bucket=_or_why("bucket", lambda: of_bucket(s3, layout.bucket), not_seen),
        objects=_or_why(
            "objects", lambda: of_objects(s3, layout.bucket, prefixes(layout, cluster_id)), not_seen
        ),
        cluster=_or_why("cluster", lambda: of_cluster(emr, cluster_id), not_seen) if cluster_id else None,
        not_seen=not_seen,
    )


def _or_why(name: str, look: Callable[[], _Part], not_seen: dict[str, str]) -> _Part | None:
    try:
        return look()
    except ClientError as error:
        not_seen[name] = f"{error.operation_name}: {error.response['Error']['Code']}"
    except BotoCoreError as error:  # no answer at all
        not_seen[name] = type(error).__name__
    return None


def check_bucket(s3: Any, bucket: str) -> None:
    """Before the run: refuse a bucket that can be read without TLS, or that does not show whether it can."""
    not_seen: dict[str, str] = {}
    settings = _or_why("bucket", lambda: of_bucket(s3, bucket), not_seen)
    _check_settings(bucket, settings, not_seen)


def check(bucket: str, encryption: Encryption, *, cluster_too: bool) -> None:
    """After the run: refuse a result that is not encrypted at rest, or that could be read without TLS.

    ``cluster_too``: the cluster must be encrypted by a security configuration, at rest and in transit.
    """
    _check_settings(bucket, encryption["bucket"], encryption["not_seen"])
    _check_objects(bucket, encryption["objects"], encryption["not_seen"])
    if cluster_too:
        _check_cluster(encryption)


def _check_settings(bucket: str, settings: BucketEncryption | None, not_seen: dict[str, str]) -> None:
    if settings is None:
        raise EncryptionError(
            f"The settings of bucket {bucket!r} cannot be read ({not_seen['bucket']}): allow the request, "
            "then run again."
        )
    if not settings["tls_only"]:
        raise EncryptionError(
            f"Bucket {bucket!r} can be read without TLS: add a policy that denies s3:* on the bucket and its "
            "objects to everyone where aws:SecureTransport is false."
        )


def _check_objects(bucket: str, objects: ObjectEncryption | None, not_seen: dict[str, str]) -> None:
    if objects is None:
        raise EncryptionError(
            f"Whether the objects of the run in {bucket!r} are encrypted cannot be read "
            f"({not_seen['objects']}): allow the request, then clear this task."
        )
    if objects["unencrypted"]:
        encrypted = sum(objects["algorithms"].values())
        raise EncryptionError(
            f"{objects['checked'] - encrypted} of {objects['checked']} objects of the run in {bucket!r} are "
            f"not encrypted, such as {objects['unencrypted'][0]!r}: set the bucket's default encryption, and "
            "run again."
        )


def _check_cluster(encryption: Encryption) -> None:
    """At rest is two things: what EMR writes to S3, and the disks of the nodes, where the shuffle lies."""
    cluster = encryption["cluster"]
    at_rest = cluster["at_rest"] if cluster else None
    parts = {
        "on S3": bool(at_rest and at_rest["s3"]),
        "on the nodes' disks": bool(at_rest and at_rest["local_disk"] and at_rest["ebs"]),
        "in transit": bool(cluster and cluster["in_transit"]),
    }
    if missing := [part for part, encrypted in parts.items() if not encrypted]:
        raise EncryptionError(
            "FRUITS_REQUIRE_SECURITY_CONFIGURATION is set, but the cluster was not shown to be encrypted "
            f"{', '.join(missing)} (seen: {json.dumps(redacted(cluster or encryption['not_seen']))}): "
            "mend the security configuration, and run again."
        )


def prefixes(layout: RunLayout, cluster_id: str | None) -> tuple[str, ...]:
    """Everything that a run writes, the logs of its cluster too."""
    logs = (f"{LOGS_PREFIX}{cluster_id}/",) if cluster_id else ()
    return (
        layout.work_list,
        layout.draft,
        layout.features,
        layout.compacted,
        layout.manifest,
        layout.rejected,
        layout.pca_output,
        layout.pca_model,
        layout.classifier,
        layout.reports,
        *logs,
    )


def of_bucket(s3: Any, bucket: str) -> BucketEncryption:
    """The bucket's policy and settings."""
    rules = _setting(
        lambda: s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"],
        "ServerSideEncryptionConfigurationNotFoundError",
    )
    policy = _setting(lambda: s3.get_bucket_policy(Bucket=bucket)["Policy"], "NoSuchBucketPolicy")
    public = _setting(
        lambda: s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"],
        "NoSuchPublicAccessBlockConfiguration",
    )
    rule = rules[0] if rules else {}
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return BucketEncryption(
        tls_only=policy is not None and is_tls_only(json.loads(policy), bucket),
        default_algorithm=default.get("SSEAlgorithm"),
        default_kms_key=default.get("KMSMasterKeyID"),
        bucket_key=bool(rule.get("BucketKeyEnabled")),
        public_access_blocked=bool(public) and all(public.values()),
        versioning=s3.get_bucket_versioning(Bucket=bucket).get("Status"),
    )


def _setting(read: Callable[[], Any], absent: str) -> Any:
    """A setting of the bucket, None where S3 answers that it is not set."""
    try:
        return read()
    except ClientError as error:
        if error.response["Error"]["Code"] == absent:
            return None
        raise


def is_tls_only(policy: dict[str, Any], bucket: str) -> bool:
    """Whether a bucket policy denies everyone everything that does not come over TLS.

    The bucket itself and its objects must both be covered, by one statement or by two. A statement
    with a further condition denies less than everything, and does not count.
    """
    covered: set[str] = set()
    for statement in _listed(policy.get("Statement")):
        if (
            statement.get("Effect") == "Deny"
            and statement.get("Principal") in ("*", {"AWS": "*"}, {"AWS": ["*"]})
            and {"s3:*", "*"} & set(_listed(statement.get("Action")))
            and _is_without_tls(statement.get("Condition", {}))
        ):
            covered |= {name.rpartition(":::")[2] for name in _listed(statement.get("Resource"))}
    return "*" in covered or {bucket, f"{bucket}/*"} <= covered


def _is_without_tls(condition: dict[str, dict[str, Any]]) -> bool:
    if len(condition) != 1 or not condition.keys() & {"Bool", "BoolIfExists"}:
        return False
    (asked,) = condition.values()
    names = {name.lower(): [str(value).lower() for value in _listed(asked[name])] for name in asked}
    return names == {"aws:securetransport": ["false"]}


def _listed(value: Any) -> list[Any]:
    """A policy's field, which may be one value or a list of them."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def of_objects(s3: Any, bucket: str, under: tuple[str, ...], most: int = _MOST_HEADS) -> ObjectEncryption:
    """The heads of the objects under some prefixes: of all of them, or of an evenly spaced sample."""
    keys = list(_keys(s3, bucket, under))
    sample = keys[:: max(1, -(-len(keys) // most))]
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        heads = list(pool.map(lambda key: s3.head_object(Bucket=bucket, Key=key), sample))
    algorithms = [head.get("ServerSideEncryption") for head in heads]
    return ObjectEncryption(
        checked=len(sample),
        total=len(keys),
        algorithms=dict(Counter(algorithm for algorithm in algorithms if algorithm)),
        kms_keys=sorted({head["SSEKMSKeyId"] for head in heads if "SSEKMSKeyId" in head}),
        bucket_keys=sum(bool(head.get("BucketKeyEnabled")) for head in heads),
        unencrypted=[key for key, algorithm in zip(sample, algorithms, strict=True) if not algorithm][
            :_MOST_NAMED
        ],
    )


def _keys(s3: Any, bucket: str, under: tuple[str, ...]) -> Iterator[str]:
    for prefix in under:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from (entry["Key"] for entry in page.get("Contents", []))


def of_cluster(emr: Any, cluster_id: str) -> ClusterEncryption:
    """What the cluster says of itself. Without a security configuration EMR encrypts nothing itself.

    The document's form: https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-create-security-configuration.html
    """
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    name = cluster.get("SecurityConfiguration")
    document = (
        json.loads(emr.describe_security_configuration(Name=name)["SecurityConfiguration"]) if name else {}
    )
    encryption = document.get("EncryptionConfiguration", {})
    metadata = document.get("InstanceMetadataServiceConfiguration", {})
    return ClusterEncryption(
        security_configuration=name,
        at_rest=_at_rest(encryption),
        in_transit=bool(encryption.get("EnableInTransitEncryption")),
        imdsv2=metadata.get("MinimumInstanceMetadataServiceVersion") == 2,
        logs_kms_key=cluster.get("LogEncryptionKmsKeyId"),
    )


def _at_rest(encryption: dict[str, Any]) -> AtRest | None:
    if not encryption.get("EnableAtRestEncryption"):
        return None
    at_rest = encryption.get("AtRestEncryptionConfiguration", {})
    disk = at_rest.get("LocalDiskEncryptionConfiguration", {})
    return AtRest(
        s3=at_rest.get("S3EncryptionConfiguration", {}).get("EncryptionMode"),
        local_disk=disk.get("EncryptionKeyProviderType"),
        ebs=bool(disk.get("EnableEbsEncryption")),
    )
