"""The reaper ends what outlived its run, says what it saw, and touches nothing of anybody else's."""

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from fruit_pipeline.cluster import reaper
from fruit_pipeline.cluster.identity import cluster_name, cluster_tags
from fruit_pipeline.cluster.termination import terminate_and_wait
from local_aws.control import Control
from local_aws.faults import Error, Fault
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import cluster_in, job_flow

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


def refusing(region: str, code: str) -> Any:
    """A client of a region that answers its first call with an error."""
    client = boto3.client(
        "emr", region_name=region, aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    stubber = Stubber(client)
    stubber.add_client_error("list_clusters", code, "The security token included in the request is invalid.")
    stubber.activate()
    return client


@pytest.mark.parametrize("code", ["UnrecognizedClientException", "OptInRequired"])
def test_a_region_that_the_account_has_not_switched_on_is_no_error(
    emr: BaseClient, made: Callable[..., str], code: str
) -> None:
    dead = made("dead")
    regions = [("eu-south-1", refusing("eu-south-1", code)), ("eu-west-1", emr)]
    done = reaper.sweep(regions, INSTALLATION, datetime.now(UTC), lambda *_: False, dry_run=False)
    assert (done.terminated, done.failed) == ([dead], {})
    assert done.not_enabled.keys() == {"eu-south-1"}


@pytest.mark.parametrize(
    ("region", "code"),
    [("eu-south-1", "AccessDeniedException"), ("eu-north-1", "UnrecognizedClientException")],
)
def test_a_region_that_refuses_to_be_looked_at_is_an_error(emr: BaseClient, region: str, code: str) -> None:
    regions = [(region, refusing(region, code)), ("eu-west-1", emr)]
    done = reaper.sweep(regions, INSTALLATION, datetime.now(UTC), lambda *_: False, dry_run=False)
    assert (done.failed.keys(), done.not_enabled) == ({region}, {})


def test_credentials_that_no_region_takes_are_an_error_everywhere() -> None:
    regions = ("eu-south-1", "eu-west-1")
    clients = [(region, refusing(region, "UnrecognizedClientException")) for region in regions]
    done = reaper.sweep(clients, INSTALLATION, datetime.now(UTC), lambda *_: False, dry_run=False)
    assert (done.failed.keys(), done.not_enabled) == (set(regions), {})


def test_a_run_that_cannot_be_asked_about_shields_neither_old_clusters_nor_others(
    emr: BaseClient, made: Callable[..., str]
) -> None:
    unknown, old, dead = made("unknown"), made("old", max_hours="0.1"), made("dead")

    def is_alive(dag_id: str, run_id: str) -> bool:
        if run_id != "dead":
            raise RuntimeError("Airflow does not answer")
        return False

    later = datetime.now(UTC) + timedelta(hours=0.5)
    done = reaper.sweep([("eu-west-1", emr)], INSTALLATION, later, is_alive, dry_run=False)
    assert sorted(done.terminated) == sorted([old, dead])
    assert done.failed == {unknown: "Airflow does not answer"}


def test_a_cluster_that_cannot_be_described_does_not_shield_the_others(
    emr: BaseClient, made: Callable[..., str], control: Control
) -> None:
    made("dead")
    made("dead")
    denied = Error(status=400, code="AccessDeniedException", message="no")
    control.add_fault(Fault(service="emr", operation="DescribeCluster", calls=1, effect=denied))
    done = swept(emr, set())
    assert (len(done.terminated), len(done.failed)) == (1, 1)


def test_all_clusters_are_asked_to_end_before_an_error_is_raised(
    emr: BaseClient, made: Callable[..., str], control: Control
) -> None:
    ids = sorted([made("one"), made("two")])
    denied = Error(status=400, code="AccessDeniedException", message="no")
    control.add_fault(Fault(service="emr", operation="TerminateJobFlows", calls=1, effect=denied))
    with pytest.raises(ClientError, match="AccessDenied"):
        terminate_and_wait(emr, ids, 0)
    assert [state_of(emr, each) in ENDED for each in ids] == [False, True]


def reap(aws: LocalAws, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line, with nothing of Airflow's around it."""
    environment = {
        **aws.environment,
        "FRUITS_INSTALLATION": INSTALLATION,
        **more,
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


def test_the_command_line_refuses_an_endpoint_outside_the_eu(aws: LocalAws) -> None:
    elsewhere = {"AWS_ENDPOINT_URL_EMR": "https://elasticmapreduce.us-east-1.amazonaws.com"}
    done = reap(aws, "--region", "eu-west-1", "--installation", INSTALLATION, **elsewhere)
    assert done.returncode != 0
    assert "'us-east-1', which is not an EU region" in done.stderr


def test_the_command_line_says_what_it_could_not_reach(aws: LocalAws, tmp_path: Path) -> None:
    environment = {name: value for name, value in aws.environment.items() if "KEY" not in name}
    done = subprocess.run(
        [sys.executable, "-m", "fruit_pipeline", "reap", "--region", "eu-west-1"],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "eu-west-1: Unable to locate credentials" in done.stderr
