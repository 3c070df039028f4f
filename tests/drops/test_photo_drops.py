"""Photos that are dropped start one run a drop, whatever became of the watcher before.

fruit_features is kept from costing anything: a month's ceiling of nearly nothing refuses its runs, unless a
person starts them.
"""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from local_aws.control import Control
from local_aws.emr.outside_events import Hold
from local_aws.faults import Error, Fault
from local_aws.moto_server import ACCOUNT_ID
from local_run import local_account
from local_run.pace import Pace
from local_run.watching import DROPS, ENDED, FEATURES, Watching
from tests.drops.conftest import BUCKET, PREFIX, QUEUE
from tests.mailbox import Mailbox

EXPIRED = Error(
    status=403, code="ExpiredToken", message="The security token included in the request is expired"
)
NOTICES = f"arn:aws:sns:eu-west-1:{ACCOUNT_ID}:notices"
LOOKS_IN_IDLENESS = 25
Trouble = Callable[[Watching, Control], None]
TIME_FACTOR = 200


def settings(pace: Pace) -> dict[str, str]:
    return {
        "FRUITS_DROP_POLL_SECONDS": "1",
        "FRUITS_DROP_QUIET_MINUTES": f"{pace.seconds(8) / 60:.2f}",
        "FRUITS_MONTHLY_BUDGET_EUR": "0.01",
        "FRUITS_NOTIFY": NOTICES,
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": f"{pace.seconds(5):.0f}",
    }


@pytest.fixture(scope="module")
def control(system: Watching) -> Control:
    return Control(system.stack.aws["AWS_ENDPOINT_URL_EMR"])


@pytest.fixture(scope="module")
def mailbox(system: Watching) -> Mailbox:
    made = Mailbox.subscribed(system.stack.client("sns"), system.sqs, "notices")
    assert made.notify == NOTICES
    return made


def put(system: Watching, folder: str, count: int) -> None:
    for number in range(count):
        system.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}{folder}/{number}.jpg", Body=b"photo")


def announced(system: Watching, runs: int) -> list[dict[str, Any]]:
    """Wait until fruit_features has so many runs, and all have ended; these."""
    system.until_started(runs)
    system.until(lambda: all(run["state"] in ENDED for run in system.runs(FEATURES)), "they have ended")
    return system.runs(FEATURES)


def messages(system: Watching) -> int:
    """How many messages the queue holds, those that somebody has received included."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counted = system.sqs.get_queue_attributes(QueueUrl=system.stack.queue_url, AttributeNames=names)
    return sum(int(counted["Attributes"][name]) for name in names)


def test_a_drop_of_three_hundred_photos_starts_one_run_whose_page_says_so(
    system: Watching, mailbox: Mailbox
) -> None:
    assert system.runs(FEATURES) == [], "a DAG that is new and unpaused must not start by itself"
    put(system, "Apple", 300)
    [run] = announced(system, 1)
    assert run["run_type"] == "asset_triggered"
    # The run is refused: here a month may cost next to nothing. Its note says both.
    assert "Started by a drop of photos: 300 new photos, 0 changed and 0 deleted ones" in run["note"]
    assert "S3 told of 300 changes" in run["note"]
    said = system.api.log(FEATURES, run["dag_run_id"], "plan", 1)
    events = [str(entry.get("event")) for entry in said]
    assert any(event in run["note"] for event in events if "Started by a drop" in event), "plan says so, too"
    system.until_idle()
    assert len(system.events("photo_drop")) == 1
    assert messages(system) == 0
    # The DAG processor tells, some seconds after the run has ended; and once.
    letters: list[tuple[str, str]] = []
    system.until(lambda: bool(letters.extend(mailbox.letters()) or letters), "people are told")
    [(subject, message)] = letters
    assert subject == "fruit_features: a run is red"
    assert message.startswith("The run failed in guards: This month has cost 0.00 EUR in 0 runs, and this")
    for line in (
        f"Run: {run['dag_run_id']} of fruit_features",
        "Cluster: none",
        "Cost: nothing",
        "Current result: none yet",
        f"Look: {system.stack.airflow.url}/dags/fruit_features/runs/{quote(run['dag_run_id'], safe='')}",
    ):
        assert line in message.splitlines()


def killed(system: Watching, _: Control) -> None:
    [triggerer] = [child for child in system.stack.children if child.name.endswith("triggerer")]
    triggerer.process.kill()
    triggerer.process.wait()
    system.stack.children.remove(triggerer)
    system.stack.children.append(system.stack.airflow.start("triggerer", system.stack.environment))


def failing(error: Error) -> Trouble:
    def fail(system: Watching, control: Control) -> None:
        fault = control.add_fault(Fault(service="sqs", operation="ReceiveMessage", effect=error))
        system.until(lambda: control.fault(fault).hits >= 3, "SQS has failed three times")
        control.remove_fault(fault)

    return fail


def idle(system: Watching, control: Control) -> None:
    control.clear()

    def looks() -> int:
        return control.logged_calls(service="sqs", operation="ReceiveMessage").seen("ReceiveMessage")

    system.until(lambda: looks() >= LOOKS_IN_IDLENESS, "the watcher has looked in vain for long")


def made_again(system: Watching, _: Control) -> None:
    system.sqs.delete_queue(QueueUrl=system.stack.queue_url)
    log = system.stack.airflow.home / "logs" / "triggerer.log"
    system.until(lambda: "NonExistentQueue" in log.read_text(), "the watcher has noticed")
    local_account.create_queue(system.sqs, QUEUE)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param(idle, id="long idleness"),
        pytest.param(killed, id="a killed triggerer"),
        pytest.param(failing(Error(status=500, code="InternalFailure")), id="errors of SQS"),
        pytest.param(failing(EXPIRED), id="expired credentials"),
        pytest.param(made_again, id="a queue deleted and made again"),
    ],
)
def test_after_trouble_the_next_drop_starts_one_run(
    system: Watching, control: Control, trouble: Trouble, request: pytest.FixtureRequest
) -> None:
    system.until_idle()
    before = len(system.runs(FEATURES)), len(system.events("photo_drop"))
    trouble(system, control)
    put(system, f"Pear {request.node.callspec.id}", 3)
    announced(system, before[0] + 1)
    system.until_idle()
    assert len(system.runs(FEATURES)) == before[0] + 1
    assert len(system.events("photo_drop")) == before[1] + 1


def test_photos_that_arrive_during_a_run_start_one_run_after_it(system: Watching, control: Control) -> None:
    system.until_idle()
    before = len(system.runs(FEATURES))
    control.cause_later(Hold(state="STARTING"), state="STARTING")
    system.api.trigger(FEATURES, "by-hand", {"bucket": BUCKET, "components": 4, "image_size": 96})

    def waits_for_cluster() -> bool:
        tasks = system.api.task_instances(FEATURES, "by-hand")
        return any(task["task_id"] == "wait_for_cluster" and task["state"] == "deferred" for task in tasks)

    system.until(waits_for_cluster, "the run waits for its cluster")
    assert system.api.run(FEATURES, "by-hand")["note"] == "Started by hand, through the API."
    for burst in range(2):
        system.until_heard(lambda burst=burst: put(system, f"Plum {burst}", 5))

    def waits_for_run() -> bool:
        run = system.runs(DROPS)[-1]
        log = system.api.log(DROPS, run["dag_run_id"], "wait_until_complete", 1)
        return any("a run is under way" in str(entry.get("event")) for entry in log)

    system.until(waits_for_run, "the drop waits for the run")
    assert len(system.runs(FEATURES)) == before + 1
    system.api.call("PATCH", f"/dags/{FEATURES}/dagRuns/by-hand", {"state": "failed"}).raise_for_status()
    *_, run = announced(system, before + 2)
    assert "S3 told of 10 changes" in run["note"]
    system.until_idle()
    assert len(system.runs(FEATURES)) == before + 2


def test_results_and_other_files_start_nothing(system: Watching) -> None:
    system.until_idle()
    before = len(system.runs(DROPS))
    system.s3.put_object(Bucket=BUCKET, Key="Results/pca_output/run=x/photo.jpg", Body=b"result")
    system.s3.put_object(Bucket=BUCKET, Key="Test/Apple/notes.txt", Body=b"notes")
    system.until(lambda: messages(system) == 0, "the queue is empty")
    # Long enough for an event to become a run, were there one.
    time.sleep(5)
    assert len(system.runs(DROPS)) == before


def test_no_log_shows_the_account(system: Watching) -> None:
    logs = list((system.stack.airflow.home / "logs").rglob("*.log"))
    assert any(log.name == "triggerer.log" for log in logs)
    assert [str(log) for log in logs if ACCOUNT_ID in log.read_text(errors="replace")] == []
