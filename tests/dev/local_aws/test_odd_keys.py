"""A key of any class of characters makes its way: put, listed, planned, read on Spark's side, deleted."""

import io
import re
from pathlib import Path
from urllib.parse import unquote_plus

import pyarrow.parquet as pq
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from rich.console import Console

from fruit_contract.layout import RunLayout
from fruit_pipeline.aws.deletion import delete_objects
from fruit_pipeline.photos.changes import write_lists
from fruit_spark.photos.fetch import fetch_image
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.storage import s3 as spark_s3
from infra import removal
from local_aws.server import LocalAws
from local_run.bucket_sync import mirror
from tests.dev.local_aws.emr_client import client

CLASSES = {
    "C0 controls": "\x01\x02\x03\x08\x0b\x0c\x0e\x1f",
    "tab and newline": "\t\n",
    "carriage return": "\r.\r\n",
    "DEL and C1 controls": "\x7f\x80\x85\x9f",
    "U+FFFE": "\ufffe",
    "U+FFFF": "\uffff",
    "other noncharacters": "\ufdd0\U0001fffe\U0001ffff\U0010fffe\U0010ffff",
    "what XML escapes": "&<>\"']]>&amp;",
    "what URLs escape": "a+b %20%2F?c=d#e;",
    "separators of lines": "\u2028\u2029\u00a0",
    "astral characters": "\U0001f34e\U00020000",
}
XML_CANNOT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@pytest.fixture
def key(bucket: str, s3: BaseClient, characters: str) -> str:
    """The key of a photo whose folder and name have these characters, beside another folder."""
    key = f"Test/{characters}/{characters}.jpg"
    for each in ("Test/a/1.jpg", key, "Test/\U0010ffff!/1.jpg"):
        s3.put_object(Bucket=bucket, Key=each, Body=b"photo")
    return key


of_every_class = pytest.mark.parametrize("characters", CLASSES.values(), ids=CLASSES)


@of_every_class
def test_every_listing_names_the_key(s3: BaseClient, bucket: str, key: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    folder = key.rpartition("/")[0] + "/"
    for listing, entries in (
        (s3.list_objects_v2, "Contents"),
        (s3.list_objects, "Contents"),
        (s3.list_object_versions, "Versions"),
    ):
        assert key in [entry["Key"] for entry in listing(Bucket=bucket)[entries]]
        level = listing(Bucket=bucket, Prefix="Test/", Delimiter="/")
        assert folder in [each["Prefix"] for each in level["CommonPrefixes"]]
        assert [entry["Key"] for entry in listing(Bucket=bucket, Prefix=key)[entries]] == [key]
    after = s3.list_objects_v2(Bucket=bucket, StartAfter=folder)
    assert after["StartAfter"] == folder
    assert key in [entry["Key"] for entry in after["Contents"]]


def begin_upload(aws: LocalAws, bucket: str, key: str) -> None:
    s3 = client(aws, "s3", attempts=1)  # what cannot be read is not asked for again
    if XML_CANNOT.search(key):
        # S3 has begun the upload, but its answer cannot be read: there is no encoding to ask for.
        with pytest.raises(ClientError):
            s3.create_multipart_upload(Bucket=bucket, Key=key)
    else:
        assert s3.create_multipart_upload(Bucket=bucket, Key=key)["Key"] == key


@of_every_class
def test_an_upload_in_progress_is_named(aws: LocalAws, s3: BaseClient, bucket: str, characters: str) -> None:
    key = f"Test/{characters}.jpg"
    begin_upload(aws, bucket, key)
    uploads = s3.list_multipart_uploads(Bucket=bucket, EncodingType="url")["Uploads"]
    assert {unquote_plus(upload["Key"]) for upload in uploads} == {key}


@of_every_class
def test_a_plan_names_the_photo_and_spark_reads_it(
    aws: LocalAws, s3: BaseClient, bucket: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = RunLayout(bucket, "run")
    write_lists(s3, layout, "Test/")
    body = s3.get_object(Bucket=bucket, Key=layout.work_list)["Body"].read()
    items = [WorkItem(**row) for row in pq.read_table(io.BytesIO(body)).to_pylist()]
    assert [item.key for item in items] == sorted(["Test/a/1.jpg", key, "Test/\U0010ffff!/1.jpg"])
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(spark_s3, "_STORES", {})
    assert {fetch_image(item) for item in items} == {b"photo"}


@of_every_class
def test_a_deleted_key_is_gone(s3: BaseClient, bucket: str, key: str) -> None:
    if XML_CANNOT.search(key):
        with pytest.raises(ClientError, match="MalformedXML"):
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}]})
    assert delete_objects(s3, bucket, [{"Key": key}, {"Key": "Test/a/1.jpg"}]) == []
    entries = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [entry["Key"] for entry in entries] == ["Test/\U0010ffff!/1.jpg"]


@of_every_class
def test_a_mirroring_removes_the_key(s3: BaseClient, bucket: str, key: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.jpg").write_bytes(b"photo")
    assert mirror(s3, tmp_path, bucket, "Test/", Console(quiet=True)).removed == 2
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["Test/a/1.jpg"]


@of_every_class
def test_a_bucket_is_emptied_of_versions_and_uploads_of_the_key(
    aws: LocalAws, s3: BaseClient, bucket: str, key: str
) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key=key, Body=b"another photo")
    s3.delete_object(Bucket=bucket, Key=key)
    begin_upload(aws, bucket, key)
    assert removal.empty(s3, bucket) == 6
    assert removal.count(s3, bucket) == 0
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
