"""Which permissions an AWS call needs, and whether a policy gives them.

moto's server checks actions and resources, but no conditions, no ``${*}``, and nothing of EMR. This
evaluates identity policies as far as the template uses them, by IAM's own rules: a matching Deny wins,
else a matching Allow is needed, and a condition on a key that the request does not have is false.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

ACCOUNT: Final = "123456789012"
_LITERALS: Final = {"${*}": "*", "${?}": "?", "${$}": "$"}

_S3_BUCKET: Final = {
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "GetBucketLocation": "GetBucketLocation",
    "GetBucketPolicy": "GetBucketPolicy",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetBucketVersioning": "GetBucketVersioning",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
}
"""Operations on a bucket, and the action that S3 asks for (Service Authorization Reference, Amazon S3)."""

_S3_OBJECT: Final = {
    "AbortMultipartUpload": "AbortMultipartUpload",
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObject": "DeleteObject",
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "PutObject": "PutObject",
    "UploadPart": "PutObject",
}
_READS: Final = ("GetObject", "HeadObject")

_EMR_OF_NO_RESOURCE: Final = (
    "ListClusters",
    "DescribeSecurityConfiguration",
    "ListReleaseLabels",
    "ListSupportedInstanceTypes",
)
_LIMITS: Final = {
    "AutoTerminationPolicy": "PutAutoTerminationPolicy",
    "ManagedScalingPolicy": "PutManagedScalingPolicy",
}
"""Fields of RunJobFlow, and the action that EMR asks for beside the call's own."""
_EMR_CLUSTER_IDS: Final = ("ClusterId", "JobFlowId", "JobFlowIds")


@dataclass(frozen=True)
class Need:
    """One permission: an action on a resource, with what the request tells of itself."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.action} on {self.resource.replace(ACCOUNT, '…')}"


def permits(statements: list[dict[str, Any]], need: Need) -> bool:
    """Whether the statements of an identity's policies, together, permit it."""
    effects = {each["Effect"] for each in statements if _applies(each, need)}
    return "Allow" in effects and "Deny" not in effects


def _applies(statement: dict[str, Any], need: Need) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    assert not unknown, f"the evaluator does not know {unknown}"
    return (
        any(_matches(each, need.action, ignore_case=True) for each in _listed(statement["Action"]))
        and any(_matches(each, need.resource) for each in _listed(statement["Resource"]))
        and all(
            _holds(operator, key, _listed(values), need.context)
            for operator, asked in statement.get("Condition", {}).items()
            for key, values in asked.items()
        )
    )


def _holds(operator: str, key: str, values: list[str], context: Mapping[str, str]) -> bool:
    if operator == "Null":
        return [str(key not in context).lower()] == values
    assert operator == "StringEquals", f"the evaluator does not know the condition {operator}"
    return context.get(key) in values


def _matches(pattern: str, text: str, ignore_case: bool = False) -> bool:
    """IAM's wildcards: ``*`` is anything, ``?`` one character, ``${*}`` a real asterisk."""
    parts = re.split(r"(\$\{[*?$]\}|\*|\?)", pattern)
    wild = {"*": ".*", "?": "."}
    expression = "".join(wild.get(part) or re.escape(_LITERALS.get(part, part)) for part in parts)
    return bool(re.fullmatch(expression, text, re.DOTALL | (re.IGNORECASE if ignore_case else 0)))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def needs(
    service: str, operation: str, parameters: Mapping[str, Any], region: str, tags_of: Callable[[str], Any]
) -> list[Need]:
    """What a call needs; ``tags_of`` gives the tags of a cluster. ``KeyError`` for an unknown call."""
    if service == "s3" and operation == "DeleteObjects":
        keys = [each["Key"] for each in parameters["Delete"]["Objects"]]
        return [s3_need("DeleteObject", parameters["Bucket"], key) for key in keys]
    if service == "s3":
        need = s3_need(operation, parameters["Bucket"], parameters.get("Key"))
        told = {"s3:if-none-match": parameters["IfNoneMatch"]} if "IfNoneMatch" in parameters else {}
        return [replace(need, context=told)]
    if service == "emr":
        return list(_emr_needs(operation, parameters, region, tags_of))
    if service == "iam":
        kind, name = {
            "GetRole": ("role", "RoleName"),
            "GetInstanceProfile": ("instance-profile", "InstanceProfileName"),
        }[operation]
        return [Need(f"iam:{operation}", f"arn:aws:iam::{ACCOUNT}:{kind}/{parameters[name]}")]
    if service == "sqs":
        queue = parameters["QueueUrl"].rpartition("/")[2]
        action = {"DeleteMessageBatch": "DeleteMessage"}.get(operation, operation)
        return [Need(f"sqs:{action}", f"arn:aws:sqs:{region}:{ACCOUNT}:{queue}")]
    if service == "sns":
        return [Need(f"sns:{operation}", parameters["TargetArn"])]
    if service == "sts":
        return [] if operation == "GetCallerIdentity" else [Need(f"sts:{operation}", "*")]
    return [Need(f"{ {'pricing': 'pricing', 'ec2': 'ec2'}[service] }:{operation}", "*")]


def s3_need(operation: str, bucket: str, key: str | None) -> Need:
    arn = f"arn:aws:s3:::{bucket}"
    if operation in _S3_BUCKET:
        return Need(f"s3:{_S3_BUCKET[operation]}", arn)
    return Need(f"s3:{_S3_OBJECT[operation]}", f"{arn}/{key}")


def hides_absence(operation: str, bucket: str) -> Need | None:
    """What S3 asks for before it says that an object is not there; without it, it says 403.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
    """
    return Need("s3:ListBucket", f"arn:aws:s3:::{bucket}") if operation in _READS else None


def _emr_needs(
    operation: str, parameters: Mapping[str, Any], region: str, tags_of: Callable[[str], Any]
) -> Iterator[Need]:
    clusters = f"arn:aws:elasticmapreduce:{region}:{ACCOUNT}:cluster/"
    if operation == "RunJobFlow":
        yield from _creation_needs(parameters, clusters, region)
    elif operation in _EMR_OF_NO_RESOURCE:
        yield Need(f"elasticmapreduce:{operation}", "*")
    else:
        [name] = [each for each in _EMR_CLUSTER_IDS if each in parameters]
        for cluster_id in _listed(parameters[name]):
            tags = {
                f"elasticmapreduce:ResourceTag/{key}": value for key, value in tags_of(cluster_id).items()
            }
            yield Need(f"elasticmapreduce:{operation}", f"{clusters}{cluster_id}", tags)


def _creation_needs(parameters: Mapping[str, Any], clusters: str, region: str) -> Iterator[Need]:
    """RunJobFlow: the call itself, its tags, its limits, and the roles that it hands over.

    AddTags on ``cluster/*`` since April 2023 (aws/aws-cdk#24842; the resource as AWS's refusals name it);
    PutAutoTerminationPolicy and PutManagedScalingPolicy by EMR's pages on them; PassRole by its page on
    service roles.
    """
    tags = {f"elasticmapreduce:RequestTag/{tag['Key']}": tag["Value"] for tag in parameters.get("Tags", [])}
    yield Need("elasticmapreduce:RunJobFlow", "*", {**tags, "aws:RequestedRegion": region})
    if tags:
        yield Need("elasticmapreduce:AddTags", f"{clusters}*", tags)
    own = {key.replace("RequestTag", "ResourceTag"): value for key, value in tags.items()}
    for given, action in _LIMITS.items():
        if given in parameters:
            # Of which resource EMR asks it no page says: a run must work either way.
            yield Need(f"elasticmapreduce:{action}", f"{clusters}*")
            yield Need(f"elasticmapreduce:{action}", f"{clusters}j-NEWCLUSTER", own)
    service, nodes = parameters["ServiceRole"], parameters["JobFlowRole"]
    yield _pass_role(service, "elasticmapreduce")
    yield _pass_role(nodes, "ec2")


def _pass_role(role: str, service: str) -> Need:
    return Need(
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/{role}",
        {"iam:PassedToService": f"{service}.amazonaws.com"},
    )
