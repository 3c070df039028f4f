"""One local AWS for each module, and programs of ``.venv/clients`` that use it as they would use AWS."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.client import BaseClient

from local_aws.server import LocalAws, Settings
from tests.conftest import REPOSITORY

CLIENTS = REPOSITORY / ".venv" / "clients" / "bin"
PROGRAMS = Path(__file__).with_name("programs")
_TIME_FACTOR = 100.0
"""A cluster starts for 3 s: mrjob's ends itself if it has no step by then."""

Run = Callable[..., str]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    settings = Settings(
        state_dir=tmp_path_factory.mktemp("aws"),
        spark_python=REPOSITORY / ".venv" / "spark" / "bin" / "python",
        jars_dir=REPOSITORY / ".cache" / "jars",
        time_factor=_TIME_FACTOR,
    )
    with LocalAws(settings) as running:
        yield running


@pytest.fixture
def run(aws: LocalAws, tmp_path: Path) -> Run:
    """Runs a program in a folder and a home of its own, and returns what it says."""

    def run(*command: str | Path, **more: str) -> str:
        environment = {"PATH": os.defpath, "HOME": str(tmp_path), **aws.environment, **more}
        done = subprocess.run(
            [*map(str, command)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return done.stdout

    return run


@pytest.fixture
def emr(aws: LocalAws) -> BaseClient:
    return boto3.client(
        "emr",
        endpoint_url=aws.emr_url,
        region_name="eu-west-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def failures(emr: BaseClient, cluster_id: str) -> list[tuple[str, str]]:
    """The name of each step that did not complete, and why."""
    return [
        (step["Name"], step["Status"].get("FailureDetails", {}).get("Message", step["Status"]["State"]))
        for step in emr.list_steps(ClusterId=cluster_id)["Steps"]
        if step["Status"]["State"] != "COMPLETED"
    ]
