"""Objects are deleted in as few requests as S3 allows, and each refusal is told."""

from datetime import UTC, datetime, timedelta
from typing import Any

from fruit_pipeline.aws.deletion import delete_objects
from tests.fruit_pipeline.conftest import BUCKET


def test_a_thousand_objects_share_a_request(s3: Any) -> None:
    sizes: list[int] = []
    s3.meta.events.register(
        "provide-client-params.s3.DeleteObjects",
        lambda params, **_: sizes.append(len(params["Delete"]["Objects"])),
    )
    keys = [f"Test/{number:04}.jpg" for number in range(1001)]
    s3.put_object(Bucket=BUCKET, Key=keys[-1], Body=b"")
    assert delete_objects(s3, BUCKET, [{"Key": key} for key in keys]) == []
    assert sizes == [1000, 1]
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_what_s3_refuses_is_told_whatever_its_key(s3: Any) -> None:
    s3.create_bucket(
        Bucket="locked",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
        ObjectLockEnabledForBucket=True,
    )
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": datetime.now(UTC) + timedelta(1)}
    objects = [
        {"Key": key, "VersionId": s3.put_object(Bucket="locked", Key=key, Body=b"", **given)["VersionId"]}
        for key, given in (("a", lock), ("b", {}), ("\x01", lock), ("\x02", {}))
    ]
    refused = delete_objects(s3, "locked", objects)
    assert [(each["Key"], each["Code"]) for each in refused] == [
        ("a", "AccessDenied"),
        ("\x01", "AccessDenied"),
    ]
    left = s3.list_object_versions(Bucket="locked")["Versions"]
    assert {each["Key"] for each in left} == {"a", "\x01"}
