"""Local AWS shows a bucket's folders in a browser, with what S3 itself says lies below each."""

import urllib.error
import urllib.request
from urllib.parse import urlencode

import pytest
from botocore.client import BaseClient

from local_aws.bucket_tree import Folder, tree
from local_aws.server import LocalAws

OBJECTS = {
    "Test/Pink Lady/1+2.jpg": 3,
    "Test/Kiwi/ä.jpg": 4,
    "Results/pca_output/run=a/part-0.parquet": 50,
    "Results/pca_output/run=a/part-1.parquet": 60,
    "Results/latest.json": 1,
}


def opened(aws: LocalAws, bucket: str, **query: str) -> str:
    with urllib.request.urlopen(f"{aws.emr_url}/s3/buckets/{bucket}?{urlencode(query)}") as answer:
        return str(answer.read().decode())


def in_s3(s3: BaseClient, bucket: str, prefix: str) -> tuple[int, int]:
    """Objects and bytes below a prefix."""
    found = s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
    return len(found), sum(each["Size"] for each in found)


def test_every_folder_stands_with_what_s3_lists_below_it(aws: LocalAws, s3: BaseClient, bucket: str) -> None:
    for key, size in OBJECTS.items():
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
    head, *lines = opened(aws, bucket).splitlines()
    assert head.split() == ["objects", "bytes", f"s3://{bucket}"]
    shown = {line[29:].partition("  (")[0]: tuple(map(int, line.split()[:2])) for line in lines}
    prefixes = ["/", "Results/", "Results/pca_output/", "Results/pca_output/run=a/"]
    assert list(shown) == [*prefixes, "Test/", "Test/Kiwi/", "Test/Pink Lady/"]
    assert shown == {prefix: in_s3(s3, bucket, prefix.removeprefix("/")) for prefix in shown}
    below = opened(aws, bucket, prefix="Test/Pink Lady/").splitlines()
    assert [line.split()[:2] for line in below[1:]] == [["1", "3"]]


@pytest.mark.parametrize(("name", "prefix"), [("no-such-bucket", ""), ("Not a bucket", ""), (None, "None/")])
def test_what_is_not_there_is_not_found(aws: LocalAws, bucket: str, name: str | None, prefix: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404"):
        opened(aws, (name or bucket).replace(" ", "%20"), prefix=prefix)


def test_a_folder_of_many_folders_tells_how_many_and_names_none() -> None:
    labels = [(f"Test/{label}/1.jpg", 10) for label in range(13)]
    assert tree(labels) == [Folder("", 13, 130, 1), Folder("Test/", 13, 130, 13)]


def test_folders_below_the_third_count_and_are_not_named() -> None:
    assert [each.prefix for each in tree([("a/b/c/d/e/f", 1)])] == ["", "a/", "a/b/", "a/b/c/"]
    assert tree([]) == []
