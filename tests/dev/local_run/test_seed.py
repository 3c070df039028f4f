"""A local bucket has photos to begin with, and keeps those that somebody has put there."""

from typing import Any

from rich.console import Console

from local_run import seed
from tests.fruit_pipeline.conftest import BUCKET

QUIET = Console(quiet=True)


def keys(s3: Any) -> list[str]:
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="Test/").get("Contents", [])]


def test_an_empty_bucket_gets_generated_photos_once(s3: Any) -> None:
    seed.put_photos(s3, BUCKET, None, 3, QUIET)
    first = keys(s3)
    assert len(first) == 3
    seed.put_photos(s3, BUCKET, None, 5, QUIET)
    assert keys(s3) == first


def test_photos_of_people_are_kept(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key="Test/Kiwi/mine.jpg", Body=b"a photo")
    seed.put_photos(s3, BUCKET, None, 3, QUIET)
    assert keys(s3) == ["Test/Kiwi/mine.jpg"]
