"""A photo is sent once, whole, verified, encrypted as its bucket demands; an interruption leaves no half."""

import base64
import hashlib
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from fruit_contract.layout import IMAGE_SUFFIXES
from fruit_pipeline.security.regions import ResidencyError
from fruit_pipeline.upload import checksums
from fruit_pipeline.upload.folder import read_folder
from fruit_pipeline.upload.objects import Objects, content_type, demanded_encryption
from fruit_pipeline.upload.uploading import Summary, send
from tests.fruit_pipeline.conftest import BUCKET

QUIET = Console(quiet=True)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    root = tmp_path / "photos"
    for label in ("Kiwi", "Pink Lady"):
        (root / label).mkdir(parents=True)
        for number in range(20):
            (root / label / f"{number}.jpg").write_bytes(f"{label} {number}".encode())
    return root


def upload(s3: Any, source: Path) -> Summary:
    summary = Summary()
    send(s3, read_folder(source, "Test/").without_empty(), BUCKET, "Test/", QUIET, summary)
    return summary


def sent_by(s3: Any, operation: str) -> list[str]:
    """The addresses of the requests of one operation, from now on."""
    made: list[str] = []
    s3.meta.events.register(
        f"before-call.s3.{operation}", lambda params, **_: made.append(params["url_path"])
    )
    return made


def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """S3's own least size of a part."""
    monkeypatch.setattr(checksums, "PART_SIZE", 5 * 2**20)
    return 5 * 2**20


def test_an_object_has_the_photos_bytes_type_checksum_and_encryption(s3: Any, photos: Path) -> None:
    assert upload(s3, photos).uploaded == 40
    content = (photos / "Kiwi" / "7.jpg").read_bytes()
    found = s3.get_object(Bucket=BUCKET, Key="Test/Kiwi/7.jpg", ChecksumMode="ENABLED")
    assert found["Body"].read() == content
    assert found["ContentType"] == "image/jpeg"
    assert found["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
    assert found["ServerSideEncryption"] == "AES256"


@pytest.mark.parametrize("suffix", IMAGE_SUFFIXES)
def test_every_kind_of_image_has_a_content_type(suffix: str) -> None:
    assert content_type(f"Test/Kiwi/{suffix}") == content_type(f"Test/Kiwi/1.txt{suffix.upper()}")
    assert content_type(f"Test/Kiwi/{suffix}").startswith("image/")


def test_a_second_upload_asks_for_one_listing_and_sends_nothing(s3: Any, photos: Path) -> None:
    upload(s3, photos)
    puts, heads = sent_by(s3, "PutObject"), sent_by(s3, "HeadObject")
    again = upload(s3, photos)
    assert (again.uploaded, again.already_there) == (0, 40)
    assert puts == heads == []


def test_no_file_is_sent_twice(s3: Any, photos: Path) -> None:
    puts = sent_by(s3, "PutObject")
    upload(s3, photos)
    assert len(puts) == len(set(puts)) == 40


def test_a_changed_photo_of_the_same_size_is_sent_again(s3: Any, photos: Path) -> None:
    upload(s3, photos)
    (photos / "Kiwi" / "7.jpg").write_bytes(b"Kiwi Q")
    again = upload(s3, photos)
    assert (again.uploaded, again.already_there) == (1, 39)
    assert s3.get_object(Bucket=BUCKET, Key="Test/Kiwi/7.jpg")["Body"].read() == b"Kiwi Q"


def test_names_that_differ_in_case_or_form_are_uploaded_both_and_named(s3: Any, tmp_path: Path) -> None:
    (tmp_path / "Kiwi").mkdir()
    for name in ("é.jpg", "e\u0301.jpg", "A.jpg", "a.jpg"):
        (tmp_path / "Kiwi" / name).write_bytes(name.encode())
    summary = upload(s3, tmp_path)
    assert summary.uploaded == 4
    assert summary.twins == [
        ["Test/Kiwi/A.jpg", "Test/Kiwi/a.jpg"],
        ["Test/Kiwi/e\u0301.jpg", "Test/Kiwi/é.jpg"],
    ]


def test_a_large_file_goes_in_parts_and_is_known_again(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = small_parts(monkeypatch)
    (tmp_path / "Kiwi").mkdir()
    (tmp_path / "Kiwi" / "large.png").write_bytes(bytes(range(256)) * (2 * size // 256) + b"the end")
    assert upload(s3, tmp_path).uploaded == 1
    head = s3.head_object(Bucket=BUCKET, Key="Test/Kiwi/large.png")
    assert head["ETag"].endswith('-3"')
    assert head["ServerSideEncryption"] == "AES256"
    assert head["ContentType"] == "image/png"
    heads = sent_by(s3, "HeadObject")
    assert upload(s3, tmp_path).already_there == 1
    assert heads == []


def test_a_part_that_is_refused_leaves_nothing_behind(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = small_parts(monkeypatch)
    (tmp_path / "Kiwi").mkdir()
    (tmp_path / "Kiwi" / "large.jpg").write_bytes(b"x" * (size + 1))

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "UploadPart")

    s3.meta.events.register("before-call.s3.UploadPart", refuse)
    with pytest.raises(ClientError, match="AccessDenied"):
        upload(s3, tmp_path)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_a_large_file_that_is_interrupted_leaves_nothing_behind(
    s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = small_parts(monkeypatch)
    (tmp_path / "Kiwi").mkdir()
    (tmp_path / "Kiwi" / "large.jpg").write_bytes(b"x" * (3 * size))
    (photo,) = read_folder(tmp_path, "Test/").photos
    asked: list[int] = []

    def interrupt() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Objects(s3, BUCKET).put(photo, interrupt)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)


def test_a_photo_whose_etag_says_nothing_is_known_by_its_sha256(s3: Any, photos: Path) -> None:
    """As under SSE-KMS, where an ETag is no MD5."""
    upload(s3, photos)
    photo = read_folder(photos, "Test/").photos[0]
    assert Objects(s3, BUCKET).has(photo, photo.size, "0" * 32)
    assert not Objects(s3, BUCKET).has(photo, photo.size + 1, "0" * 32)
    Path(photo.path).write_bytes(b"x" * photo.size)
    assert not Objects(s3, BUCKET).has(photo, photo.size, "0" * 32)


def test_a_refusal_ends_the_upload_and_keeps_count(s3: Any, photos: Path) -> None:
    puts: list[str] = []
    lock = threading.Lock()

    def refuse_the_tenth(params: Any, **_: object) -> None:
        with lock:
            puts.append(params["url_path"])
            if len(puts) >= 10:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

    s3.meta.events.register("before-call.s3.PutObject", refuse_the_tenth)
    summary = Summary()
    with pytest.raises(ClientError, match="AccessDenied"):
        send(s3, read_folder(photos, "Test/"), BUCKET, "Test/", QUIET, summary)
    assert summary.uploaded == 9 == len(s3.list_objects_v2(Bucket=BUCKET)["Contents"])
    assert len(puts) < 40


def test_a_file_that_went_away_is_skipped_and_the_rest_is_uploaded(s3: Any, photos: Path) -> None:
    folder = read_folder(photos, "Test/")
    Path(folder.photos[3].path).unlink()
    summary = Summary()
    send(s3, folder, BUCKET, "Test/", QUIET, summary)
    assert summary.uploaded == 39
    assert summary.reasons == {"cannot be read (No such file or directory)": 1}


def test_what_the_bucket_demands_is_what_is_sent(s3: Any) -> None:
    assert demanded_encryption(s3, BUCKET) == {"ServerSideEncryption": "AES256"}
    key = "arn:aws:kms:{}:123456789012:key/1"
    for region in ("eu-west-1", "us-east-1"):
        rule = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key.format(region)}
        s3.put_bucket_encryption(
            Bucket=BUCKET,
            ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": rule}]},
        )
        if region == "eu-west-1":
            found = demanded_encryption(s3, BUCKET)
            assert found == {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key.format(region)}
        else:
            with pytest.raises(ResidencyError, match="us-east-1"):
                demanded_encryption(s3, BUCKET)
    s3.delete_bucket_encryption(Bucket=BUCKET)
    assert demanded_encryption(s3, BUCKET) == {}
