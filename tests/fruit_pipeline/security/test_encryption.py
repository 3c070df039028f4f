"""What the report says of encryption was seen in AWS, and what is not encrypted is not published."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import boto3
import pytest
from botocore.config import Config

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import (
    AtRest,
    BucketEncryption,
    ClusterEncryption,
    Encryption,
    ObjectEncryption,
)
from fruit_pipeline.security import encryption
from fruit_pipeline.security.encryption import EncryptionError
from local_run.local_account import tls_only_policy
from tests.fruit_pipeline.conftest import BUCKET, REGION

RIGHT = Encryption(
    bucket=BucketEncryption(
        tls_only=True,
        default_algorithm="AES256",
        default_kms_key=None,
        bucket_key=False,
        public_access_blocked=True,
        versioning="Enabled",
    ),
    objects=ObjectEncryption(
        checked=1, total=1, algorithms={"AES256": 1}, kms_keys=[], bucket_keys=0, unencrypted=[]
    ),
    cluster=ClusterEncryption(
        security_configuration="fruits",
        at_rest=AtRest(s3="SSE-S3", local_disk="AwsKms", ebs=True),
        in_transit=True,
        imdsv2=True,
        logs_kms_key=None,
    ),
    not_seen={},
)


@pytest.fixture
def bare(s3: Any) -> str:
    """A bucket without any setting, as they were before S3 encrypted by itself."""
    s3.create_bucket(Bucket="bare", CreateBucketConfiguration={"LocationConstraint": REGION})
    return "bare"


def put(s3: Any, bucket: str, *keys: str, **how: Any) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x", **how)


# --- the bucket -----------------------------------------------------------------------------------


def test_the_buckets_settings_are_read(s3: Any) -> None:
    assert encryption.of_bucket(s3, BUCKET) == RIGHT["bucket"]


def test_a_bucket_without_settings_is_seen_as_one(s3: Any, bare: str) -> None:
    assert encryption.of_bucket(s3, bare) == BucketEncryption(
        tls_only=False,
        default_algorithm=None,
        default_kms_key=None,
        bucket_key=False,
        public_access_blocked=False,
        versioning=None,
    )


def test_a_kms_key_and_the_buckets_key_are_seen(s3: Any, bare: str) -> None:
    default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/fruits"}
    s3.put_bucket_encryption(
        Bucket=bare,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": True}]
        },
    )
    seen = encryption.of_bucket(s3, bare)
    assert (seen["default_algorithm"], seen["default_kms_key"]) == ("aws:kms", "alias/fruits")
    assert seen["bucket_key"]


def test_a_public_access_block_with_a_gap_is_none(s3: Any) -> None:
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    s3.put_public_access_block(
        Bucket=BUCKET, PublicAccessBlockConfiguration={**block, "BlockPublicPolicy": False}
    )
    assert encryption.of_bucket(s3, BUCKET)["public_access_blocked"] is False


def statement(**changes: Any) -> dict[str, Any]:
    (usual,) = tls_only_policy(BUCKET)["Statement"]
    return {**usual, **changes}


BUCKET_ARN, OBJECTS_ARN = f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"


@pytest.mark.parametrize(
    "statements",
    [
        [statement()],
        statement(),
        [
            statement(
                Principal={"AWS": "*"}, Action=["s3:*"], Condition={"Bool": {"aws:SecureTransport": False}}
            )
        ],
        [statement(Condition={"BoolIfExists": {"AWS:securetransport": ["false"]}}, Action="*", Resource="*")],
        [statement(Resource=BUCKET_ARN), statement(Resource=[OBJECTS_ARN])],
        [
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": OBJECTS_ARN},
            statement(),
        ],
    ],
)
def test_a_policy_that_denies_everything_without_tls_is_recognised(statements: Any) -> None:
    assert encryption.is_tls_only({"Statement": statements}, BUCKET)


@pytest.mark.parametrize(
    "changes",
    [
        {"Effect": "Allow"},
        {"Principal": {"AWS": "arn:aws:iam:::role/one"}},
        {"Action": ["s3:GetObject", "s3:PutObject"]},
        {"Resource": OBJECTS_ARN},
        {"Resource": BUCKET_ARN},
        {"Resource": [BUCKET_ARN, f"{BUCKET_ARN}/Results/*"]},
        {"Resource": [f"{BUCKET_ARN}-2", f"{BUCKET_ARN}-2/*"]},
        {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        {"Condition": {"StringEquals": {"aws:SecureTransport": "false"}}},
        {"Condition": {"Bool": {"aws:SecureTransport": "false", "aws:ViaAWSService": "false"}}},
        {
            "Condition": {
                "Bool": {"aws:SecureTransport": "false"},
                "IpAddress": {"aws:SourceIp": "192.0.2.0/24"},
            }
        },
        {"Condition": {}},
    ],
)
def test_a_policy_that_leaves_a_gap_is_not(changes: dict[str, Any]) -> None:
    assert not encryption.is_tls_only({"Statement": [statement(**changes)]}, BUCKET)


# --- the objects ----------------------------------------------------------------------------------


def test_every_object_of_the_run_is_asked_and_no_other(s3: Any, layout: RunLayout) -> None:
    mine = [layout.work_list, layout.report, "logs/j-1/steps/s-1/stderr.gz"]
    mine += [
        f"{prefix}part-0"
        for prefix in (layout.features, layout.rejected, layout.pca_output, layout.pca_model, layout.reports)
    ]
    others = ["logs/j-10/stderr.gz", RunLayout(BUCKET, "run-10").report, "Test/a/1.jpg"]
    put(s3, BUCKET, *mine, *others)
    seen = encryption.of_objects(s3, BUCKET, encryption.prefixes(layout, "j-1"))
    assert seen == ObjectEncryption(
        checked=8, total=8, algorithms={"AES256": 8}, kms_keys=[], bucket_keys=0, unencrypted=[]
    )


def test_objects_without_encryption_are_named(s3: Any, bare: str) -> None:
    put(s3, bare, "r/plain a", "r/plain b")
    put(s3, bare, "r/right", ServerSideEncryption="AES256")
    seen = encryption.of_objects(s3, bare, ("r/",))
    assert seen["algorithms"] == {"AES256": 1}
    assert seen["unencrypted"] == ["r/plain a", "r/plain b"]


def test_the_keys_of_kms_are_told(s3: Any, bare: str) -> None:
    put(s3, bare, "r/a", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/fruits", BucketKeyEnabled=True)
    seen = encryption.of_objects(s3, bare, ("r/",))
    assert seen["algorithms"] == {"aws:kms": 1}
    assert len(seen["kms_keys"]) == seen["bucket_keys"] == 1


@pytest.mark.parametrize(("objects", "most", "checked"), [(10, 10, 10), (11, 10, 6), (25, 10, 9), (3, 1, 1)])
def test_of_many_objects_an_even_sample_is_asked_and_counted(
    objects: int, most: int, checked: int, s3: Any
) -> None:
    put(s3, BUCKET, *(f"r/{number:02}" for number in range(objects)))
    seen = encryption.of_objects(s3, BUCKET, ("r/",), most)
    assert (seen["checked"], seen["total"]) == (checked, objects)
    assert checked <= most


# --- the verdict ----------------------------------------------------------------------------------


def test_what_is_encrypted_is_accepted() -> None:
    encryption.check(BUCKET, RIGHT, cluster_too=True)


def without_a_configuration(seen: Encryption) -> None:
    seen["cluster"] = ClusterEncryption(
        security_configuration=None, at_rest=None, in_transit=False, imdsv2=False, logs_kms_key=None
    )


def test_a_cluster_without_a_security_configuration_is_accepted_where_none_is_required() -> None:
    seen = deepcopy(RIGHT)
    without_a_configuration(seen)
    encryption.check(BUCKET, seen, cluster_too=False)


SPOILT: dict[str, Callable[[Any], Any]] = {
    rf"Bucket '{BUCKET}' can be read without TLS: add a policy": lambda seen: seen["bucket"].update(
        tls_only=False
    ),
    r"2 of 3 objects of the run in 'fruits-test' are not encrypted, such as 'a'": lambda seen: seen[
        "objects"
    ].update(checked=3, unencrypted=["a", "b"]),
    r"settings of bucket 'fruits-test' cannot be read \(GetBucketPolicy: AccessDenied\)": lambda seen: (
        seen.update(bucket=None, not_seen={"bucket": "GetBucketPolicy: AccessDenied"})
    ),
    r"objects of the run .* cannot be read \(HeadObject: 403\)": lambda seen: seen.update(
        objects=None, not_seen={"objects": "HeadObject: 403"}
    ),
    r"REQUIRE_SECURITY_CONFIGURATION is set.*\"security_configuration\": null": without_a_configuration,
    r"encrypted in transit \(seen: .*\"in_transit\": false": lambda seen: seen["cluster"].update(
        in_transit=False
    ),
    r"encrypted on S3, on the nodes' disks \(seen: .*\"at_rest\": null": lambda seen: seen["cluster"].update(
        at_rest=None
    ),
    r"encrypted on the nodes' disks \(seen: .*\"local_disk\": null": lambda seen: seen["cluster"].update(
        at_rest=AtRest(s3="SSE-S3", local_disk=None, ebs=False)
    ),
    r"encrypted on the nodes' disks \(seen: .*\"ebs\": false": lambda seen: seen["cluster"].update(
        at_rest=AtRest(s3="SSE-S3", local_disk="AwsKms", ebs=False)
    ),
    r"encrypted on S3 \(seen: .*\"s3\": null": lambda seen: seen["cluster"].update(
        at_rest=AtRest(s3=None, local_disk="AwsKms", ebs=True)
    ),
    r"seen: \{\"cluster\": \"DescribeCluster": lambda seen: seen.update(
        cluster=None, not_seen={"cluster": "DescribeCluster: AccessDenied"}
    ),
}


@pytest.mark.parametrize("sentence", SPOILT)
def test_what_is_not_encrypted_is_refused(sentence: str) -> None:
    seen = deepcopy(RIGHT)
    SPOILT[sentence](seen)
    with pytest.raises(EncryptionError, match=sentence):
        encryption.check(BUCKET, seen, cluster_too=True)


def test_a_real_bucket_without_tls_only_is_refused(s3: Any, layout: RunLayout) -> None:
    put(s3, BUCKET, layout.report)
    emr = boto3.client("emr", region_name=REGION)
    encryption.check(BUCKET, encryption.seen(s3, emr, layout, None), cluster_too=False)
    encryption.check_bucket(s3, BUCKET)
    s3.delete_bucket_policy(Bucket=BUCKET)
    with pytest.raises(EncryptionError, match="can be read without TLS"):
        encryption.check_bucket(s3, BUCKET)
    with pytest.raises(EncryptionError, match="can be read without TLS"):
        encryption.check(BUCKET, encryption.seen(s3, emr, layout, None), cluster_too=False)


def test_a_bucket_that_does_not_show_its_settings_is_refused(s3: Any) -> None:
    with pytest.raises(EncryptionError, match=r"cannot be read \(GetBucketEncryption: NoSuchBucket\)"):
        encryption.check_bucket(s3, "nowhere")


def test_a_real_run_without_encryption_is_refused(s3: Any, layout: RunLayout) -> None:
    s3.delete_bucket_encryption(Bucket=BUCKET)
    put(s3, BUCKET, layout.report)
    seen = encryption.seen(s3, boto3.client("emr", region_name=REGION), layout, None)
    with pytest.raises(EncryptionError, match=r"1 of 1 objects of the run .*report\.json"):
        encryption.check(BUCKET, seen, cluster_too=False)


def test_a_service_that_does_not_answer_is_named_as_not_seen(s3: Any, layout: RunLayout) -> None:
    silent = boto3.client(
        "emr",
        region_name=REGION,
        endpoint_url="http://127.0.0.1:9",
        config=Config(retries={"total_max_attempts": 1}),
    )
    seen = encryption.seen(s3, silent, layout, "j-1")
    assert seen["cluster"] is None
    assert seen["not_seen"] == {"cluster": "EndpointConnectionError"}


def test_what_was_seen_is_json(s3: Any, layout: RunLayout) -> None:
    seen = encryption.seen(s3, boto3.client("emr", region_name=REGION), layout, None)
    assert json.loads(json.dumps(seen)) == seen
