"""What `make aws-smoke` refuses: one sentence, exit code 2, and nothing is made."""

import subprocess
import sys

import pytest

from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cluster.identity import cluster_tags
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from smoke.made import Made
from tests.deploy.smoke.conftest import Person


@pytest.fixture(autouse=True)
def _nothing_is_made(person: Person):
    before = person.there()
    yield
    assert person.there() == before


def refusal(person: Person, *words: str, **environment: str) -> str:
    code, said = person.call("--yes", *words, **environment)
    assert code == 2, said
    assert len(said.splitlines()) == 1, said
    return said


def test_above_one_euro(person: Person) -> None:
    said = refusal(person, FRUITS_USD_PER_EUR="0.5")
    assert "EUR at worst" in said
    assert "the limit is 1.00 EUR" in said
    assert person.made is None


def test_outside_the_eu(person: Person) -> None:
    assert "'us-east-1' is not in the EU" in refusal(person, "--region", "us-east-1")


def test_without_credentials(person: Person) -> None:
    nobody = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(person.place)}
    assert "There are no AWS credentials" in refusal(person, **nobody)


def test_a_stack_that_is_not_there(person: Person) -> None:
    assert "Stack 'nowhere' is not there in eu-west-1" in refusal(person, "--stack", "nowhere")


def test_a_bucket_with_something_in_it(person: Person) -> None:
    command = [sys.executable, "-m", "infra"]
    names = ("--stack", "grown", "--yes")
    deploy = [*command, "deploy", *names, "--bucket", "fruits-grown"]
    subprocess.run(deploy, env=person.environment, check=True, capture_output=True)
    s3 = person.client("s3")
    s3.put_object(Bucket="fruits-grown", Key="Results/latest.json", Body=b"{}")
    assert "Bucket 'fruits-grown' of stack 'grown' is not empty" in refusal(person, "--stack", "grown")
    assert s3.head_object(Bucket="fruits-grown", Key="Results/latest.json")
    subprocess.run([*command, "destroy", *names], env=person.environment, check=True, capture_output=True)


def test_a_stack_that_an_airflow_works_with(person: Person) -> None:
    command = [sys.executable, "-m", "infra"]
    names = ("--stack", "busy", "--yes")
    given = ("--bucket", "fruits-busy", "--set", "Installation=busy")
    subprocess.run(
        [*command, "deploy", *names, *given], env=person.environment, check=True, capture_output=True
    )
    tags = [{"Key": key, "Value": value} for key, value in cluster_tags("busy", "d", "r").items()]
    request = job_flow(RunParameters(bucket="fruits-busy"), Deployment(), "s3://b/x.sh", "d", "r")
    cluster_id = person.client("emr").run_job_flow(**request | {"Tags": tags, "BootstrapActions": []})[
        "JobFlowId"
    ]
    said = refusal(person, "--stack", "busy")
    assert "An Airflow is at work with stack 'busy'" in said
    assert cluster_id in said
    subprocess.run([*command, "destroy", *names], env=person.environment, check=True, capture_output=True)


def test_what_an_earlier_call_has_left_comes_first(person: Person) -> None:
    person.state.mkdir()
    made = Made.anew("eu-west-1", None)
    made.note(person.state / "made.json")
    assert f"has left {made.stack}: run `make aws-smoke ARGS=--remove`" in refusal(person)
    assert person.call("--remove")[0] == 0
    assert person.made is None


def test_without_the_runtime_of_graviton(person: Person) -> None:
    assert "is missing: run `make runtime`" in refusal(person, FRUITS_RUNTIME_ARCHIVE="/nowhere.tar.gz")


def test_a_look_needs_no_runtime_and_starts_nothing(person: Person) -> None:
    code, said = person.call("--yes", "--dry-run", FRUITS_RUNTIME_ARCHIVE="/nowhere.tar.gz")
    assert code == 0, said
    assert "EUR at worst" in said
    assert person.made is None


def test_a_person_who_does_not_agree(person: Person) -> None:
    code, said = person.call()
    assert code == 2, said
    assert "EUR at worst" in said
    assert "Nobody answered, so nothing was changed" in said
    assert person.made is None
