"""The reaper ends what outlived its run, says what it saw, and touches nothing of anybody else's."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from emr_client import cluster_in, job_flow

from fruit_pipeline import reaper
from fruit_pipeline.identity import cluster_name, cluster_tags
from local_aws.server import LocalAws
from tests.conftest import REPOSITORY

INSTALLATION = "here"
ENDED = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


@pytest.fixture
def made(emr: BaseClient) -> Callable[..., str]:
    """Makes a cluster of a run of this installation, with tags changed or left out (None)."""

    def make(run_id: str, **changes: str | None) -> str:
        tags = {**cluster_tags(INSTALLATION, "fruit_features", run_id), "max_hours": "3", **changes}
        request = job_flow(
            Name=cluster_name("fruit_features", run_id),
            Tags=[{"Key": key, "Value": value} for key, value in tags.items() if value is not None],
        )
        return str(emr.run_job_flow(**request)["JobFlowId"])

    return make


def swept(emr: BaseClient, alive: set[str] | None, hours_later: float = 0, **options: Any) -> reaper.Sweep:
    return reaper.sweep(
        [("eu-west-1", emr)],
        INSTALLATION,
        datetime.now(UTC) + timedelta(hours=hours_later),
        None if alive is None else lambda dag_id, run_id: run_id in alive,
        **{"dry_run": False, **options},
    )


def state_of(emr: BaseClient, cluster_id: str) -> str:
    return str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


def test_a_cluster_whose_run_is_not_alive_is_ended(emr: BaseClient, made: Callable[..., str]) -> None:
    dead, alive = made("dead"), made("alive")
    done = swept(emr, {"alive"})
    assert done.terminated == [dead]
    assert state_of(emr, dead) in ENDED
    assert state_of(emr, alive) not in ENDED
    assert "2 clusters of this installation seen, 1 of them should not be there, 1 terminated" in str(done)


def test_a_cluster_over_age_is_ended_though_its_run_is_alive(
    emr: BaseClient, made: Callable[..., str]
) -> None:
    old = made("old", max_hours="0.5")
    assert swept(emr, {"old"}, hours_later=0.5).terminated == [], "its own lifetime gets the chance to end it"
    assert swept(emr, {"old"}, hours_later=0.7).terminated == [old]


@pytest.mark.parametrize("spoilt", [None, "", "three", "1000000"])
def test_a_spoilt_age_limit_does_not_keep_a_cluster_forever(
    emr: BaseClient, made: Callable[..., str], spoilt: str | None
) -> None:
    cluster = made("spoilt", max_hours=spoilt)
    assert swept(emr, {"spoilt"}, hours_later=23).terminated == []
    assert swept(emr, {"spoilt"}, hours_later=25).terminated == [cluster]


@pytest.mark.parametrize("tag", ["project", "installation"])
@pytest.mark.parametrize("value", [None, "somebody-elses"])
def test_a_cluster_without_our_tags_is_never_touched(
    emr: BaseClient, made: Callable[..., str], tag: str, value: str | None
) -> None:
    foreign = made("dead", **{tag: value})
    done = swept(emr, set(), hours_later=1000, reap_all=True)
    assert (done.findings, done.terminated) == ([], [])
    assert state_of(emr, foreign) not in ENDED


def test_a_dry_run_says_what_it_would_do_and_does_nothing(emr: BaseClient, made: Callable[..., str]) -> None:
    dead = made("dead")
    done = swept(emr, set(), dry_run=True)
    assert [finding.cluster_id for finding in done.findings if finding.reason] == [dead]
    assert "its run 'dead' of 'fruit_features' is not alive" in str(done.findings[0])
    assert state_of(emr, dead) not in ENDED


def test_a_protected_cluster_is_ended_all_the_same(emr: BaseClient, made: Callable[..., str]) -> None:
    dead = made("dead")
    emr.set_termination_protection(JobFlowIds=[dead], TerminationProtected=True)
    assert swept(emr, set()).terminated == [dead]
    cluster_in(emr, dead, "TERMINATED")


def test_a_region_that_cannot_be_asked_does_not_shield_the_others(
    emr: BaseClient, made: Callable[..., str]
) -> None:
    import boto3
    from botocore.config import Config

    silent = boto3.client(
        "emr",
        region_name="eu-south-1",
        endpoint_url="http://127.0.0.1:9",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        config=Config(retries={"total_max_attempts": 1}),
    )
    dead = made("dead")
    regions = [("eu-south-1", silent), ("eu-west-1", emr)]
    done = reaper.sweep(regions, INSTALLATION, datetime.now(UTC), lambda *_: False, dry_run=False)
    assert done.terminated == [dead]
    assert done.failed.keys() == {"eu-south-1"}


def reap(aws: LocalAws, *options: str) -> subprocess.CompletedProcess[str]:
    """The command line, with nothing of Airflow's around it."""
    environment = {
        **aws.environment,
        "PYTHONPATH": str(REPOSITORY / "plugins"),
        "FRUITS_INSTALLATION": INSTALLATION,
    }
    command = [sys.executable, "-m", "fruit_pipeline", "reap", *options]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_command_line_ends_every_cluster_when_asked_to(
    aws: LocalAws, emr: BaseClient, made: Callable[..., str]
) -> None:
    cluster = made("dead")
    dry = reap(aws, "--region", "eu-west-1", "--all", "--dry-run")
    assert (dry.returncode, state_of(emr, cluster) in ENDED) == (0, False)
    assert "1 of them should not be there, 0 terminated, 0 errors (dry run)." in dry.stdout
    done = reap(aws, "--region", "eu-west-1", "--all")
    assert done.returncode == 0, done.stderr
    cluster_in(emr, cluster, "TERMINATED")


def test_the_command_line_leaves_young_clusters_to_their_runs(
    aws: LocalAws, emr: BaseClient, made: Callable[..., str]
) -> None:
    cluster = made("young")
    done = reap(aws, "--region", "eu-west-1")
    assert "1 clusters of this installation seen, 0 of them should not be there" in done.stdout
    assert state_of(emr, cluster) not in ENDED


def test_the_command_line_looks_in_the_eu_alone(aws: LocalAws) -> None:
    done = reap(aws, "--region", "us-east-1")
    assert done.returncode == 2
    assert "'us-east-1' is not in the EU" in done.stderr


def test_the_command_line_says_what_it_could_not_reach(aws: LocalAws, tmp_path: Path) -> None:
    environment = {name: value for name, value in aws.environment.items() if "KEY" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "fruit_pipeline", "reap", "--region", "eu-west-1"],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY / "plugins")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "eu-west-1: Unable to locate credentials" in done.stderr
