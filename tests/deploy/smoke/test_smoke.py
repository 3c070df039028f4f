"""`make aws-smoke` against local AWS: its answers are AWS's own, and whatever ends it, it leaves nothing."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest
from airflow.providers.amazon.aws.hooks.emr import EmrHook

from fruit_contract.layout import DAG_ID
from fruit_pipeline.cluster.identity import ENDED_STATES, cluster_name
from local_aws.control import Control
from local_aws.emr.outside_events import ReclaimSpot
from local_aws.faults import Delay, Error, Fault
from local_aws.moto_server import ACCOUNT_ID
from smoke.questions import QUESTIONS
from tests.deploy.smoke.conftest import Person

pytestmark = pytest.mark.slow
SPOT_RUN = "a run that loses a Spot worker"
NEEDS_AWS = {"prices", "budget", "lifecycle", "bill_tags", "yarn_memory", "quotas", "spot_prices"}
"""What moto and local Spark have no answer to, or another one."""
NOT_HERE = {"speed", "sessions", "emr_6", "cost_explorer", "lost_cluster"}
"""What two small runs do not answer, or not where the cluster outlives the loss of a worker."""
OF_THE_MACHINE = {"start", "step", "end", "overtime", "log_puts"}
"""What a slow machine answers otherwise."""


def until(process: subprocess.Popen[str], words: str) -> str:
    """What the command says until these words are in a line of it."""
    assert process.stdout is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if words in line:
            return shown
    raise AssertionError(f"it ended without saying {words!r}:\n{shown}")


@pytest.fixture
def control(person: Person) -> Control:
    control = Control(person.aws.emr_url)
    control.clear()
    return control


def test_both_runs_and_their_answers(
    person: Person, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = person.there()
    process = person.start("--yes")
    shown = until(process, SPOT_RUN)
    # moto's FIS takes nothing: local AWS does, once the first step runs.
    control.cause_later(ReclaimSpot(role="CORE", count=1), step="featurize")
    shown += process.communicate()[0]
    assert process.returncode == 0, shown
    assert person.there() == before
    assert person.processes() == []
    assert person.made is None

    text = (person.place / "aws-smoke.json").read_text()
    assert ACCOUNT_ID not in text
    document = json.loads(text)
    assert "local AWS" in document["seen_on"]
    assert document["interruption"].startswith("FIS was asked to take i-")
    answers: dict[str, Any] = document["answers"]
    assert list(answers) == [question.__name__ for question in QUESTIONS]
    not_seen = {name: answer for name, answer in answers.items() if answer["verdict"] == "not seen"}
    assert not_seen.keys() <= NEEDS_AWS | NOT_HERE, not_seen
    otherwise = {name: answer for name, answer in answers.items() if answer["verdict"] == "otherwise"}
    assert otherwise.keys() <= NEEDS_AWS | OF_THE_MACHINE, otherwise
    assert "INSTANCE_FAILURE" in answers["lost_node"]["seen"]

    # EMR itself, by boto3 and by the hook that the provider's operators use.
    for name, value in person.aws.environment.items():
        monkeypatch.setenv(name, value)
    hook, emr = EmrHook(aws_conn_id=None), person.client("emr")
    for run in document["runs"]:
        assert run["state"] == "success"
        for cluster in run["clusters"]:
            described = emr.describe_cluster(ClusterId=cluster["id"])["Cluster"]
            assert described["Status"]["State"] == cluster["state"]
            steps = emr.list_steps(ClusterId=cluster["id"])["Steps"]
            assert {step["Name"]: step["Status"]["State"] for step in steps} == {
                name: said.split()[0] for name, said in cluster["steps"].items()
            }
            nodes = emr.list_instances(ClusterId=cluster["id"])["Instances"]
            assert len(nodes) == len(cluster["nodes"])
        name = cluster_name(DAG_ID, run["id"])
        [only] = [cluster["id"] for cluster in run["clusters"]]
        assert hook.get_cluster_id_by_name(name, list(ENDED_STATES)) == only

    page = (person.place / "aws-smoke.md").read_text()
    for question in QUESTIONS:
        assert str(question.__doc__) in page
    assert "not asked yet" not in page


@pytest.mark.parametrize(
    ("words", "how"),
    [
        ("Deploying", signal.SIGINT),
        ("Deploying", signal.SIGKILL),
        ("> create_cluster", signal.SIGKILL),
        ("create_cluster: success", signal.SIGTERM),
        ("> wait_for_featurize", signal.SIGKILL),
        ("> wait_for_featurize", signal.SIGHUP),
    ],
)
def test_whenever_it_is_ended_it_leaves_nothing(
    person: Person, control: Control, words: str, how: signal.Signals
) -> None:
    before = person.there()
    process = person.start("--yes")
    until(process, words)
    if how == signal.SIGHUP:
        # The terminal is closed: nobody reads any more.
        assert process.stdout is not None
        process.stdout.close()
        process.send_signal(how)
        process.wait()
    elif how == signal.SIGKILL:
        process.kill()
        process.communicate()
        assert person.made is not None
        assert "run `make aws-smoke ARGS=--remove` first" in person.call("--yes")[1]
        code, rest = person.call("--remove")
        assert code == 0, rest
        assert "nothing to do" in person.call("--remove")[1]
    else:
        process.send_signal(how)
        rest = process.communicate()[0]
        assert process.returncode == 130, rest
    assert person.there() == before
    assert person.processes() == []
    assert person.made is None
    assert not (person.place / "aws-smoke.json").exists()


def test_a_second_ctrl_c_says_exactly_what_is_left(person: Person, control: Control) -> None:
    before = person.there()
    # The bucket takes its time to be emptied.
    control.add_fault(Fault(service="s3", operation="DeleteObjects", calls=1, effect=Delay(seconds=20)))
    process = person.start("--yes")
    until(process, "> wait_for_")
    process.send_signal(signal.SIGINT)
    until(process, "Removing stack")
    process.send_signal(signal.SIGINT)
    rest = process.communicate()[0]
    assert process.returncode == 2, rest
    made = person.made
    assert made is not None
    assert f"stack {made.stack}" in rest
    assert "run `make aws-smoke ARGS=--remove`" in rest
    assert person.there()["stacks"] == [made.stack]
    code, said = person.call("--remove")
    assert code == 0, said
    assert person.there() == before


def test_a_stack_that_is_there_stays_and_a_refused_interruption_is_an_answer(
    person: Person, control: Control
) -> None:
    cloudformation = person.client("cloudformation")
    infra(person, "deploy", "--stack", "orchard", "--bucket", "fruits-orchard", "--yes")
    before = person.there()
    refused = Error(status=403, code="AccessDenied", message="no")
    control.add_fault(Fault(service="iam", operation="CreateRole", effect=refused))
    code, said = person.call("--stack", "orchard", "--yes")
    assert code == 0, said
    document = json.loads((person.place / "aws-smoke.json").read_text())
    assert document["interruption"] == "not allowed: CreateRole: AccessDenied"
    assert document["answers"]["lost_node"] == {"verdict": "not seen", "seen": document["interruption"]}
    assert len(document["runs"]) == 1
    assert person.there() == before
    assert cloudformation.describe_stacks(StackName="orchard")
    infra(person, "destroy", "--stack", "orchard", "--yes")


def infra(person: Person, *words: str) -> None:
    command = [sys.executable, "-m", "infra", *words]
    subprocess.run(command, env=person.environment, check=True, capture_output=True)
