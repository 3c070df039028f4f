"""The benchmark's generated bucket lists its keys as S3 would: in pages, in order, by folder, each once."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from bench.generated_bucket import BUCKET, generated_bucket, generated_keys
from fruit_contract.layout import INPUT_PREFIX

KEYS, FOLDERS = 2_500, 1_200


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    with generated_bucket(KEYS, FOLDERS) as endpoint:
        s3 = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="eu-west-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield s3


def pages(s3: Any, **arguments: str) -> list[dict[str, Any]]:
    given = {"Prefix": INPUT_PREFIX, **arguments}
    return list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, **given))


def keys(found: list[dict[str, Any]]) -> list[str]:
    return [entry["Key"] for page in found for entry in page.get("Contents", [])]


def test_every_key_is_on_one_of_the_pages(bucket: Any) -> None:
    found = pages(bucket)
    assert [len(page["Contents"]) for page in found] == [1000, 1000, 500]
    assert keys(found) == generated_keys(KEYS, FOLDERS) == sorted(set(keys(found)))


def test_a_delimiter_gives_folders(bucket: Any) -> None:
    found = pages(bucket, Delimiter="/")
    folders = [folder["Prefix"] for page in found for folder in page["CommonPrefixes"]]
    assert [len(page["CommonPrefixes"]) for page in found] == [1000, 200]
    assert folders == sorted({key.rpartition("/")[0] + "/" for key in generated_keys(KEYS, FOLDERS)})


def test_a_listing_begins_after_the_key_that_it_is_given(bucket: Any) -> None:
    all_keys = generated_keys(KEYS, FOLDERS)
    assert keys(pages(bucket, StartAfter=all_keys[1234])) == all_keys[1235:]
    assert keys(pages(bucket, Prefix=all_keys[7])) == [all_keys[7]]


def test_what_is_written_is_kept(bucket: Any) -> None:
    bucket.put_object(Bucket=BUCKET, Key="Results/a", Body=b"x")
    assert bucket.get_object(Bucket=BUCKET, Key="Results/a")["Body"].read() == b"x"
    assert keys(pages(bucket, Prefix="Results/")) == ["Results/a"]
