"""``make upload`` can be interrupted at any time: what is there is whole, the next call sends the rest."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient
from tenacity import retry, retry_if_result, stop_after_delay, wait_fixed

from local_aws.server import LocalAws
from local_run import local_account
from tests.conftest import REPOSITORY

COUNT, SIZE = 900, 6000
Command = list[str]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for number in range(COUNT):
        path = root / f"Label {number % 3}" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(number.to_bytes(2, "big") * (SIZE // 2))
    return root


@pytest.fixture
def environment(aws: LocalAws) -> dict[str, str]:
    return {**os.environ, **aws.environment}


def command(photos: Path, bucket: str, *more: str) -> Command:
    return [sys.executable, "-m", "fruit_pipeline.upload", "--images", str(photos), "--bucket", bucket, *more]


def run(command: Command, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def begun(command: Command, environment: dict[str, str]) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def sizes(s3: BaseClient, bucket: str) -> list[int]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Size"] for page in pages for entry in page.get("Contents", [])]


@retry(retry=retry_if_result(lambda there: not there), wait=wait_fixed(0.02), stop=stop_after_delay(30))
def wait_for_some(s3: BaseClient, bucket: str) -> bool:
    return len(sizes(s3, bucket)) > COUNT // 10


def uploaded(output: str) -> int:
    found = re.search(r"(\d+) uploaded", output)
    assert found, output
    return int(found[1])


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_interrupted_is_whole_and_goes_on(
    s3: BaseClient, bucket: str, photos: Path, environment: dict[str, str], how: signal.Signals
) -> None:
    with begun(command(photos, bucket), environment) as process:
        wait_for_some(s3, bucket)
        process.send_signal(how)
        output, _ = process.communicate(timeout=30)
    there = sizes(s3, bucket)
    assert 0 < len(there) < COUNT
    assert set(there) == {SIZE}
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    if how == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 130
        assert uploaded(output) == len(there)
        assert "Interrupted: the same command uploads the rest." in output

    again = run(command(photos, bucket), environment)
    assert again.returncode == 0, again.stdout + again.stderr
    # What the server had in hand when the client was killed may have become whole since.
    known = re.search(r"(\d+) already there", again.stdout)
    assert known is not None, again.stdout
    assert int(known[1]) >= len(there)
    assert uploaded(again.stdout) + int(known[1]) == COUNT
    assert sizes(s3, bucket) == [SIZE] * COUNT


def test_the_summary_says_what_was_left_out_and_why(
    s3: BaseClient, bucket: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    (tmp_path / "[Kiwi]").mkdir()
    for name, content in (
        ("1.jpg", b"x"),
        ("no.jpg", b""),
        ("a.txt", b"x"),
        ("é.jpg", b"1"),
        ("É.jpg", b"2"),
    ):
        (tmp_path / "[Kiwi]" / name).write_bytes(content)
    done = run(command(tmp_path, bucket, "--prefix", "Some/where/"), environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"s3://{bucket}/Some/where/: 3 uploaded" in done.stdout
    assert re.search(r"skipped 1 file, each is empty: '.*\[Kiwi\]/no\.jpg'", done.stdout)
    assert re.search(r"skipped 1 file, each is not an image by its name: '.*a\.txt'", done.stdout)
    assert "warning: these differ in case or Unicode form alone" in done.stdout


@pytest.fixture
def one_photo(tmp_path: Path) -> Path:
    (tmp_path / "Kiwi").mkdir()
    (tmp_path / "Kiwi" / "1.jpg").write_bytes(b"x")
    return tmp_path


def test_photos_that_no_queue_hears_of_wait_for_the_schedule_or_a_person(
    bucket: str, one_photo: Path, environment: dict[str, str]
) -> None:
    done = run(command(one_photo, bucket), environment)
    said = (
        "S3 tells no queue of them: the scheduled run takes them (0 3 * * *, UTC), or trigger fruit_features."
    )
    assert done.stdout.splitlines()[-1] == said
    again = run(command(one_photo, bucket), environment)
    assert said not in again.stdout, "nothing was uploaded"
    below = run(command(one_photo, bucket, "--prefix", "Test/More/"), {**environment, "FRUITS_SCHEDULE": ""})
    assert below.stdout.splitlines()[-1] == "S3 tells no queue of them: trigger fruit_features."


@pytest.mark.parametrize("prefix", ["Other/", "Test of 2026/"])
def test_photos_below_another_prefix_wait_for_a_person_who_names_it(
    bucket: str, one_photo: Path, environment: dict[str, str], prefix: str
) -> None:
    done = run(command(one_photo, bucket, "--prefix", prefix), environment)
    said = f"No run takes them by itself: trigger fruit_features with input_prefix={prefix!r}."
    assert done.stdout.splitlines()[-1] == said


def test_photos_that_a_queue_hears_of_start_a_run_when_it_is_quiet(
    aws: LocalAws, s3: BaseClient, bucket: str, one_photo: Path, environment: dict[str, str]
) -> None:
    sqs = boto3.client(
        "sqs",
        region_name="eu-west-1",
        endpoint_url=aws.aws_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    url = sqs.create_queue(QueueName="heard")["QueueUrl"]
    local_account.tell_queue(s3, sqs, bucket, "Test/", url)
    told = run(command(one_photo, bucket), {**environment, "FRUITS_DROP_QUIET_MINUTES": "7"})
    assert "A run follows by itself once no photo has come for 7 minutes" in told.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--region", "us-east-1"], "REGION= (--region) is 'us-east-1'"),
        (["--region", "eu-west-3"], "lies in eu-west-1: set REGION=eu-west-1"),
        (
            ["--prefix", "Test"],
            "error: PREFIX= (--prefix) is 'Test': it must be one line that ends with / and does not "
            "begin with one.\n",
        ),
        (["--prefix", "Test//"], "is 'Test//': S3 has no empty folder and no dots: write Test/."),
        (["--prefix", "../Test/./"], "is '../Test/./': S3 has no empty folder and no dots: write Test/."),
        (["--prefix", "../"], "is '../': S3 has no empty folder and no dots: write Test/."),
        (["--images", "/etc/passwd"], "The folder '/etc/passwd' is a file: name one"),
        (["--prefix", "Results/photos/"], "it holds what the pipeline writes"),
        (["--bucket", "nobodys-bucket"], "cannot be used"),
        (["--bucket", "x"], "BUCKET= (--bucket) is 'x': it should have at least 3 characters"),
        (["--images", "nowhere"], "The folder 'nowhere' does not exist"),
    ],
)
def test_wrong_input_is_one_sentence_before_the_first_byte(
    s3: BaseClient,
    bucket: str,
    photos: Path,
    environment: dict[str, str],
    arguments: list[str],
    sentence: str,
) -> None:
    done = run(command(photos, bucket, *arguments), environment)
    assert done.returncode == 2
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert sizes(s3, bucket) == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
            "error: AWS was not reached (Could not connect to the endpoint URL: ",
        ),
        (
            {"AWS_PROFILE": "nobody"},
            "error: AWS was not asked, for want of credentials (The config profile (nobody) could not be "
            "found): set AWS_PROFILE, or sign in with `aws configure sso`.",
        ),
    ],
)
def test_without_an_answer_of_aws_nothing_is_said_to_go_on(
    bucket: str, photos: Path, environment: dict[str, str], wrong: dict[str, str], sentence: str
) -> None:
    done = run(command(photos, bucket), environment | wrong)
    assert done.returncode == 2
    assert done.stdout.startswith(sentence)
    assert done.stdout.count("\n") == 1


def test_a_bucket_outside_the_eu_gets_nothing(
    aws: LocalAws, s3: BaseClient, photos: Path, environment: dict[str, str]
) -> None:
    abroad = boto3.client(
        "s3",
        region_name="us-west-2",
        endpoint_url=aws.aws_url,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    abroad.create_bucket(Bucket="abroad", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    done = run(command(photos, "abroad"), environment)
    assert done.returncode == 2
    assert "outside the EU" in done.stdout
    assert sizes(s3, "abroad") == []
