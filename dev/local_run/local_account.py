"""What the pipeline expects to find in an account, made in the local one: a bucket, a queue, two roles.

And, where it is asked for, the security configuration of its clusters.
"""

import json
from typing import Any, Final

from botocore.exceptions import ClientError

from fruit_pipeline.settings.deployment import Deployment

SECURITY_CONFIGURATION: Final = {
    "EncryptionConfiguration": {
        "EnableAtRestEncryption": True,
        "AtRestEncryptionConfiguration": {"S3EncryptionConfiguration": {"EncryptionMode": "SSE-S3"}},
        "EnableInTransitEncryption": False,
    },
    "InstanceMetadataServiceConfiguration": {
        "MinimumInstanceMetadataServiceVersion": 2,
        "HttpPutResponseHopLimit": 2,
    },
}
"""The template's own, as it is without certificates."""
MAX_RECEIVE_COUNT: Final = 5
"""So often is a message received before it goes to the dead-letter queue."""


def create_bucket(s3: Any, bucket: str, region: str) -> None:
    """A bucket with SSE-S3, versioning, no public access, and refusal of anything but TLS."""
    try:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    except ClientError as error:
        if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
            raise
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        },
    )
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(tls_only_policy(bucket)))


def tls_only_policy(bucket: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }


def create_queue(sqs: Any, name: str) -> str:
    """The queue that S3 tells of photos, with its dead-letter queue, as the template makes them; its URL."""
    dead_letters = sqs.create_queue(
        QueueName=f"{name}-dead-letters", Attributes={"MessageRetentionPeriod": "1209600"}
    )["QueueUrl"]
    redrive = {"deadLetterTargetArn": _queue_arn(sqs, dead_letters), "maxReceiveCount": MAX_RECEIVE_COUNT}
    url = sqs.create_queue(
        QueueName=name, Attributes={"VisibilityTimeout": "120", "RedrivePolicy": json.dumps(redrive)}
    )["QueueUrl"]
    return str(url)


def tell_queue(s3: Any, sqs: Any, bucket: str, prefix: str, queue_url: str) -> None:
    """Have S3 tell the queue of every object below the prefix that is written or removed."""
    told = {
        "QueueArn": _queue_arn(sqs, queue_url),
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}},
    }
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [
                {**told, "Events": ["s3:ObjectCreated:*"]},
                {**told, "Events": ["s3:ObjectRemoved:*"]},
            ]
        },
    )


def _queue_arn(sqs: Any, url: str) -> str:
    asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return str(asked["Attributes"]["QueueArn"])


def create_security_configuration(emr: Any, name: str) -> None:
    """What encrypts a cluster, as the template makes it."""
    emr.create_security_configuration(Name=name, SecurityConfiguration=json.dumps(SECURITY_CONFIGURATION))


def create_roles(iam: Any, deployment: Deployment) -> None:
    """The EMR service role and the nodes' instance profile, without policies of their own."""
    profile = deployment.instance_profile
    _create(
        iam.create_role, RoleName=deployment.service_role, AssumeRolePolicyDocument=_trust("elasticmapreduce")
    )
    _create(iam.create_role, RoleName=profile, AssumeRolePolicyDocument=_trust("ec2"))
    _create(iam.create_instance_profile, InstanceProfileName=profile)
    if not iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=profile, RoleName=profile)


def _trust(service: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _create(call: Any, **arguments: Any) -> None:
    try:
        call(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
