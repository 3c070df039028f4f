"""AWS SDK for pandas makes its default cluster, runs steps, and ends it."""

import json

import boto3
from botocore.client import BaseClient

from local_aws.server import LocalAws
from tests.clients.conftest import CLIENTS, PROGRAMS, Run, failures


def test_the_default_cluster_runs_its_steps_and_ends(aws: LocalAws, emr: BaseClient, run: Run) -> None:
    s3 = boto3.client("s3", endpoint_url=aws.aws_url, aws_access_key_id="x", aws_secret_access_key="x")
    s3.create_bucket(Bucket="scripts")
    s3.put_object(Bucket="scripts", Key="a/script.sh", Body=b'#!/bin/sh\n[ "$1" = word ]\n')
    said = json.loads(run(CLIENTS / "python", PROGRAMS / "pandas_sdk.py", "s3://scripts/a/script.sh"))
    assert failures(emr, said["cluster"]) == []
    assert said["states"] == ["WAITING", "COMPLETED", "COMPLETED", "COMPLETED", "TERMINATED"]
    steps = emr.list_steps(ClusterId=said["cluster"])["Steps"]
    assert steps[-1]["Config"]["Args"] == ["state-pusher-script"]
