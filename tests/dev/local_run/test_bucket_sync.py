"""After a mirroring the prefix holds exactly the images of the folder, and nothing else has changed."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from local_run import bucket_sync
from tests.fruit_pipeline.conftest import BUCKET

QUIET = Console(quiet=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Kiwi/1.jpg", "Kiwi/a b+c%20#é.jpg", "Pink Lady/1.JPG"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "photos" / "Kiwi" / "notes.txt").write_text("not a photo")
    return tmp_path / "photos"


def keys(s3: Any) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def test_every_photo_gets_a_key_of_its_own_name(s3: Any, folder: Path) -> None:
    summary = bucket_sync.mirror(s3, folder, BUCKET, "Test/", QUIET)
    assert (summary.uploaded, summary.already_there, summary.removed) == (3, 0, 0)
    assert [Path(each.path).name for each in summary.ignored] == ["notes.txt"]
    assert keys(s3) == {"Test/Kiwi/1.jpg", "Test/Kiwi/a b+c%20#é.jpg", "Test/Pink Lady/1.JPG"}


def test_a_second_upload_sends_only_what_changed(s3: Any, folder: Path) -> None:
    bucket_sync.mirror(s3, folder, BUCKET, "Test/", QUIET)
    (folder / "Kiwi" / "1.jpg").write_bytes(b"another photo")
    (folder / "Pink Lady" / "1.JPG").unlink()
    summary = bucket_sync.mirror(s3, folder, BUCKET, "Test/", QUIET)
    assert (summary.uploaded, summary.already_there, summary.removed) == (1, 1, 1)
    assert s3.get_object(Bucket=BUCKET, Key="Test/Kiwi/1.jpg")["Body"].read() == b"another photo"
    assert "Test/Pink Lady/1.JPG" not in keys(s3)


def test_an_interrupted_upload_goes_on_where_it_stopped(s3: Any, folder: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="Test/Kiwi/1.jpg", Body=(folder / "Kiwi" / "1.jpg").read_bytes())
    assert bucket_sync.mirror(s3, folder, BUCKET, "Test/", QUIET).uploaded == 2


def test_what_lies_under_another_prefix_is_left_alone(s3: Any, folder: Path) -> None:
    s3.put_object(Bucket=BUCKET, Key="Results/old", Body=b"x")
    bucket_sync.mirror(s3, folder, BUCKET, "Test/", QUIET)
    assert "Results/old" in keys(s3)
