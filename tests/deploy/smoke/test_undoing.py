"""Whatever a killed call has left, `make aws-smoke ARGS=--remove` finds and removes it, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fruit_contract.layout import DAG_ID
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.settings.deployment import Deployment
from infra.account_clients import Account
from infra.stack import Stack
from local_aws.control import Control
from local_aws.faults import Error, Fault
from smoke import runs, undoing
from smoke.interruption import Interruption
from smoke.made import Made, Place
from tests.deploy.infra.moto_account import REGION
from tests.deploy.smoke.conftest import Person


@pytest.fixture
def account(person: Person, monkeypatch: pytest.MonkeyPatch) -> Account:
    for name, value in person.aws.environment.items():
        monkeypatch.setenv(name, value)
    return Account(REGION)


def made_by(person: Person, given_stack: str | None = None) -> Made:
    """A smoke test that has begun."""
    person.state.mkdir()
    made = Made.anew(REGION, given_stack)
    made.note(person.state / "made.json")
    return made


def deploy(account: Account, name: str, parameters: dict[str, str]) -> None:
    stack = Stack(account.client("cloudformation"), name)
    change_set, _ = stack.plan(parameters)
    assert change_set
    stack.execute(change_set)


def start_cluster(account: Account, made: Made, place: Place, run_id: str) -> str:
    """The cluster of a run, as Airflow would ask for it."""
    plain, _ = runs.parameters(made, place)
    deployment = Deployment(bucket=place.bucket, installation=place.installation)
    request = job_flow(plain, deployment, f"s3://{place.bucket}/x.sh", DAG_ID, run_id)
    return str(account.client("emr").run_job_flow(**request | {"BootstrapActions": []})["JobFlowId"])


def leave_everything(account: Account, made: Made, place: Place) -> None:
    """Clusters, photos in several versions, results, and what FIS takes a worker with."""
    cluster_ids = [start_cluster(account, made, place, run_id) for run_id in made.run_ids]
    s3 = account.client("s3")
    for key in (
        f"{place.prefix}Kiwi/1.jpg",
        f"{place.prefix}Kiwi/1.jpg",
        "Results/latest.json",
        "logs/j-1/x.gz",
    ):
        s3.put_object(Bucket=place.bucket, Key=key, Body=b"something")
    s3.create_multipart_upload(Bucket=place.bucket, Key="artifacts/unfinished")
    account.client("emr").get_waiter("cluster_running").wait(
        ClusterId=cluster_ids[1], WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    interruption = Interruption(account, made, place, poll_seconds=1)
    assert interruption.allow()
    interruption.look()
    assert interruption.ended().startswith("FIS was asked to take i-")


def test_what_it_made_goes_with_its_own_stack(person: Person, account: Account) -> None:
    before, made = person.there(), made_by(person)
    stack = Stack(account.client("cloudformation"), made.stack)
    deploy(account, made.stack, made.parameters)
    leave_everything(account, made, Place.of(made, stack))
    there = person.there()
    assert (len(there["clusters"]), len(there["faults"]), len(there["stacks"])) == (2, 1, 1)
    code, said = person.call("--remove")
    assert code == 0, said
    assert person.there() == before
    assert person.made is None


def test_of_a_stack_that_was_there_everything_else_stays(person: Person, account: Account) -> None:
    before = person.there()
    deploy(account, "grove", {"BucketName": "fruits-grove", "Installation": "grove"})
    made = made_by(person, "grove")
    place = Place.of(made, Stack(account.client("cloudformation"), "grove"))
    assert (place.bucket, place.installation) == ("fruits-grove", "grove")
    # Another run's, of the same installation, and a photo that came meanwhile.
    others = start_cluster(account, made, place, "scheduled-1")
    account.client("s3").put_object(Bucket="fruits-grove", Key="Test/Kiwi/2.jpg", Body=b"photo")
    kept = person.there()
    leave_everything(account, made, place)
    code, said = person.call("--remove")
    assert code == 0, said
    assert person.there() == kept
    assert kept["clusters"] == [others]
    subprocess.run(
        [sys.executable, "-m", "infra", "destroy", "--stack", "grove", "--yes"],
        env=person.environment,
        check=True,
        capture_output=True,
    )
    assert person.there() == before


@pytest.mark.parametrize("call", ["CreateChangeSet", "ExecuteChangeSet"])
def test_a_stack_that_was_only_begun(person: Person, account: Account, call: str) -> None:
    before, made = person.there(), made_by(person)
    stack = Stack(account.client("cloudformation"), made.stack)
    change_set, _ = stack.plan(made.parameters)
    if call == "ExecuteChangeSet":
        account.client("cloudformation").execute_change_set(
            StackName=made.stack, ChangeSetName=str(change_set)
        )
    assert person.call("--remove")[0] == 0
    assert person.there() == before


def test_a_cluster_whose_end_is_refused_is_named_and_comes_next(person: Person, account: Account) -> None:
    made = made_by(person)
    deploy(account, made.stack, made.parameters)
    place = Place.of(made, Stack(account.client("cloudformation"), made.stack))
    cluster_id = start_cluster(account, made, place, made.run_ids[0])
    control = Control(person.aws.emr_url)
    refused = Error(status=400, code="AccessDeniedException", message="no")
    control.add_fault(Fault(service="emr", operation="TerminateJobFlows", calls=1, effect=refused))
    code, said = person.call("--remove")
    assert code == 2, said
    assert f"left are cluster {cluster_id}, stack {made.stack}" in said
    assert person.made == made
    control.clear()
    assert person.call("--remove")[0] == 0
    assert made.stack not in person.there()["stacks"]


def test_an_airflow_that_outlived_its_command_is_ended(tmp_path: Path) -> None:
    code = "import time; print('up', flush=True); time.sleep(600)"
    home = {"AIRFLOW_HOME": str(tmp_path)}
    ours, others = (
        subprocess.Popen(
            [sys.executable, "-c", code], env=os.environ | env, stdout=subprocess.PIPE, start_new_session=True
        )
        for env in (home, {"AIRFLOW_HOME": f"{tmp_path}-other"})
    )
    for each in (ours, others):
        assert each.stdout is not None
        each.stdout.readline()
    try:
        undoing.end_strays(tmp_path)
        ours.wait(timeout=30)
        assert others.poll() is None
    finally:
        others.kill()
        ours.kill()
