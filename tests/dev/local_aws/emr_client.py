"""What the tests of this folder say to local AWS, and how they wait for it."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from local_aws.server import LocalAws
from tests.conftest import REPOSITORY

SPARK_PYTHON = REPOSITORY / ".venv/spark/bin/python"
JARS = Path(os.environ.get("LOCAL_AWS_JARS_DIR", REPOSITORY / ".cache/jars"))
TIME_FACTOR = 3000.0
"""STARTING then lasts 80 ms."""
_PATIENCE_SECONDS = 600.0


def job_flow(**changes: Any) -> dict[str, Any]:
    """Parameters of RunJobFlow that are accepted, with top-level changes."""
    return {
        "Name": "a cluster",
        "ReleaseLabel": "emr-7.13.0",
        "Applications": [{"Name": "Spark"}],
        "JobFlowRole": "instance-profile",
        "ServiceRole": "service-role",
        "Instances": fleets(),
    } | changes


def fleets(**changes: Any) -> dict[str, Any]:
    """The recorded cluster: one m6g.xlarge and two m6g.xlarge, all Spot."""
    return {
        "KeepJobFlowAliveWhenNoSteps": True,
        "InstanceFleets": [fleet("MASTER", "m6g.xlarge", 1), fleet("CORE", "m6g.xlarge", 2)],
    } | changes


def fleet(role: str, instance_type: str, spot: int) -> dict[str, Any]:
    return {
        "InstanceFleetType": role,
        "TargetSpotCapacity": spot,
        "InstanceTypeConfigs": [{"InstanceType": instance_type}],
    }


def groups(**changes: Any) -> dict[str, Any]:
    return {
        "KeepJobFlowAliveWhenNoSteps": True,
        "MasterInstanceType": "m6g.xlarge",
        "SlaveInstanceType": "m6g.xlarge",
        "InstanceCount": 3,
    } | changes


def step(*args: str, action: str = "CONTINUE", jar: str = "command-runner.jar") -> dict[str, Any]:
    return {
        "Name": "a step",
        "ActionOnFailure": action,
        "HadoopJarStep": {"Jar": jar, "Args": list(args)},
    }


def eventually(question: Callable[[], Any], what: str, every: float = 0.02) -> Any:
    """Ask until the answer is true, and return it; fail with ``what`` after ten minutes.

    So long takes only what never comes, however slow the machine is. ``every`` is in seconds.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not (answer := question()):
        assert time.monotonic() < deadline, f"It never came to this: {what}"
        time.sleep(every)
    return answer


def cluster_in(emr: BaseClient, cluster_id: str, *states: str) -> Any:
    """The cluster's description once it is in one of the states."""

    def ask() -> Any:
        cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        return cluster if cluster["Status"]["State"] in states else None

    return eventually(ask, f"cluster in {states}")


def step_in(emr: BaseClient, cluster_id: str, step_id: str, *states: str) -> Any:
    def ask() -> Any:
        found = emr.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
        return found if found["Status"]["State"] in states else None

    return eventually(ask, f"step in {states}")


ENDED = ("COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED")


def client(aws: LocalAws, service: str, region: str = "eu-west-1", attempts: int = 5) -> Any:
    """A client that tries each call so often at most."""
    return boto3.client(
        service,
        endpoint_url=aws.emr_url if service == "emr" else aws.aws_url,
        region_name=region,
        aws_access_key_id=aws.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=aws.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": attempts}),
    )
