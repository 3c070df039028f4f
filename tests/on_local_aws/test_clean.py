"""`python -m fruit_pipeline clean` removes what nothing refers to, or says what it would remove."""

import os
import subprocess
import sys

import pytest
from botocore.client import BaseClient

from local_aws.server import LocalAws
from tests.publisher import publish_next


def clean(aws: LocalAws, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "fruit_pipeline", "clean", *options],
        env={**os.environ, **aws.environment},
        capture_output=True,
        text=True,
        check=False,
    )


def keys(s3: BaseClient, bucket: str) -> set[str]:
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]}


def test_a_dry_run_names_what_the_next_one_removes(aws: LocalAws, s3: BaseClient, bucket: str) -> None:
    for number in range(3):
        publish_next(s3, bucket, number)
    before = keys(s3, bucket)
    options = ["--bucket", bucket, "--region", "eu-west-1", "--keep-runs", "1"]
    dry = clean(aws, *options, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "Results/pca_output/run=run-1/\n" in dry.stdout
    assert dry.stdout.endswith("folders kept (dry run).\n")
    assert keys(s3, bucket) == before
    done = clean(aws, *options)
    assert done.stdout == dry.stdout.replace(" (dry run)", "")
    assert not [key for key in keys(s3, bucket) if "run=run-1/" in key]
    assert [key for key in keys(s3, bucket) if "run=run-2/" in key]


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--bucket", "not-there", "--region", "eu-west-1"], 1, "NoSuchBucket"),
        (["--bucket", "b", "--region", "us-east-1"], 2, "'us-east-1' is not in the EU"),
        (["--bucket", "b"], 2, "--region"),
    ],
)
def test_what_cannot_be_cleaned_is_said(aws: LocalAws, options: list[str], code: int, said: str) -> None:
    done = clean(aws, *options)
    assert done.returncode == code
    assert said in done.stderr
