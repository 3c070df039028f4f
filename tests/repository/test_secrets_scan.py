"""The scanner finds what was planted, wherever it was hidden, and takes nothing else for a secret."""

import gzip
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.repository.secrets_scan import scan, scan_files

# Put together here, so that no scanner takes this file for a leak.
ACCOUNT = "1234" * 3
ACCESS_KEY = "AKIA" + "ABCDEFGH234567" + "AB"
TEMPORARY_KEY = "ASIA" + "ABCDEFGH234567" + "AB"
SECRET = "wJalrXUtnFEMI/K7MDENG+" + "bPxRfiCYEXAMPLEKEY"
TOKEN = "IQoJb3JpZ2luX2Vj" * 10

PLANTED = {
    f"key {ACCESS_KEY} was used": "access key id",
    json.dumps({"AccessKeyId": TEMPORARY_KEY}): "access key id",
    json.dumps({"SecretAccessKey": SECRET}): "secret access key",
    f"aws_secret_access_key = {SECRET}": "secret access key",
    f"AWS_SECRET_ACCESS_KEY={SECRET}": "secret access key",
    f"fs.s3a.secret.key={SECRET}": "secret access key",
    f"export AWS_SESSION_TOKEN={TOKEN}": "session token",
    json.dumps({"SessionToken": TOKEN}): "session token",
    f"x-amz-security-token: {TOKEN}": "session token",
    f"User: arn:aws:iam::{ACCOUNT}:user/x is not authorized": "account id in an ARN",
    f"arn:aws:elasticmapreduce:eu-west-1:{ACCOUNT}:cluster/j-1": "account id in an ARN",
    f"arn:aws-eusc:kms:eusc-de-east-1:{ACCOUNT}:key/1": "account id in an ARN",
    f"arn%3Aaws%3Asqs%3Aeu-west-1%3A{ACCOUNT}%3Aq": "account id in an ARN",
    f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/uploads": "account id in a queue's address",
    "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=" + "0f" * 32: "signed address",
    "-----BEGIN RSA PRIVATE " + "KEY-----": "private key",
}


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_secret_is_found(text: str) -> None:
    assert [finding.kind for finding in scan(f"before\n{text}\nafter")] == [PLANTED[text]]


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:s3:::fruits/logs/123456789012.gz",
        "arn:aws:elasticmapreduce:eu-west-1:***:cluster/j-1",
        "https://sqs.eu-west-1.amazonaws.com/***/uploads",
        "sha256 " + "0123456789abcdef" * 4,
        "artifacts/" + "0123456789abcdef" * 4 + "/code.zip",
        "secret = None",
        "run=manual__2026-11-22T10-00-00-00-00-4ff2a843",
    ],
)
def test_what_is_no_secret_is_let_pass(text: str) -> None:
    assert scan(text) == []


def test_archives_are_opened(tmp_path: Path) -> None:
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner.txt.gz", gzip.compress(f"key {ACCESS_KEY}".encode()))
    with tarfile.open(fileobj=tarred, mode="w:gz") as folder:
        member = tarfile.TarInfo("code.zip")
        member.size = len(zipped.getvalue())
        folder.addfile(member, io.BytesIO(zipped.getvalue()))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "runtime.tar.gz").write_bytes(tarred.getvalue())
    (tmp_path / "logs" / "clean.txt").write_text("nothing")
    (found,) = scan_files(tmp_path)
    assert found.kind == "access key id"
    assert found.where.endswith("runtime.tar.gz!code.zip!inner.txt.gz")


def test_a_folder_that_is_not_there_is_no_clean_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nothing to scan"):
        scan_files(tmp_path / "nowhere")
