"""S3 on loopback answers as S3 does where moto alone would not."""

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_run import local_account

BUCKET = "s3-as-it-is"


@pytest.fixture
def bucket(s3: BaseClient) -> str:
    local_account.create_bucket(s3, BUCKET, "eu-west-1")
    return BUCKET


@pytest.mark.parametrize("key", ["two\nlines/a\nb.jpg", "a b+c%20#é.jpg", " lead and trail "])
def test_a_key_is_any_utf_8(s3: BaseClient, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"photo")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"photo"
    assert key in [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_a_tls_only_policy_lets_loopback_pass_and_stays_readable(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=bucket)["Policy"]


def test_a_folder_whose_objects_are_all_deleted_is_gone(s3: BaseClient, bucket: str) -> None:
    for key in ("run/gone/part", "run/gone/_SUCCESS", "run/kept/part"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": "run/gone/part"}, {"Key": "run/gone/_SUCCESS"}]}
    )
    listed = s3.list_objects_v2(Bucket=bucket, Prefix="run/", Delimiter="/")
    assert [folder["Prefix"] for folder in listed["CommonPrefixes"]] == ["run/kept/"]
    assert "CommonPrefixes" not in s3.list_objects_v2(Bucket=bucket, Prefix="run/gone/", Delimiter="/")


def test_a_deleted_object_is_not_found(s3: BaseClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="run/a", Body=b"x")
    s3.delete_object(Bucket=bucket, Key="run/a")
    with pytest.raises(ClientError, match="404"):
        s3.head_object(Bucket=bucket, Key="run/a")
