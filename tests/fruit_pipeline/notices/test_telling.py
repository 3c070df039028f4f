"""People are told through SNS or any notifier of Airflow, once an event, and a run never ends by it."""

import json
import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from airflow.sdk import BaseNotifier
from moto import mock_aws

from fruit_pipeline.notices import telling
from fruit_pipeline.notices.messages import Notice
from tests.fruit_pipeline.conftest import REGION
from tests.mailbox import Mailbox

NOTICE = Notice("a run is red", "It failed.", "mend it.", ["Cluster: j-1"])
ELSEWHERE = "eu-west-3"


@pytest.fixture(autouse=True)
def _account(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    with mock_aws():
        yield


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    """In another region than all the rest."""
    made = Mailbox.subscribed(
        boto3.client("sns", region_name=ELSEWHERE), boto3.client("sqs", region_name=ELSEWHERE), "notices"
    )
    monkeypatch.setenv("FRUITS_NOTIFY", made.notify)
    return made


def context(run_id: str = "run 1", **more: Any) -> Any:
    return {"dag": SimpleNamespace(dag_id="fruit_features"), "run_id": run_id, **more}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


def test_a_topic_is_told_in_its_region_and_links_to_the_run(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.org/")
    telling.tell(context(), NOTICE)
    [(subject, message)] = mailbox.letters()
    assert subject == "fruit_features: a run is red"
    link = "https://airflow.example.org/dags/fruit_features/runs/run%201"
    assert message == NOTICE.text("fruit_features", "run 1", link)


def test_nobody_is_told_where_nobody_is_named(mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_NOTIFY", "")
    telling.tell(context(), NOTICE)
    assert mailbox.letters() == []


def test_an_event_is_told_once_however_often_its_task_is_repeated(mailbox: Mailbox) -> None:
    memory: dict[str, Any] = {}
    store = SimpleNamespace(get=memory.get, set=memory.__setitem__)
    for event in ("lost j-1", "lost j-1", "lost j-2"):
        telling.tell(context(task_state_store=store), NOTICE, event)
    assert len(mailbox.letters()) == 2


def test_no_message_holds_the_account_or_a_key(mailbox: Mailbox) -> None:
    account = boto3.client("sts", region_name=REGION).get_caller_identity()["Account"]
    secrets = f"of fruits-{account}: arn:aws:iam::{account}:role/x by AKIAIOSFODNN7EXAMPLE"
    telling.tell(context(), Notice(f"a run {secrets}", secrets, secrets, [secrets]))
    [(subject, message)] = mailbox.letters()
    for text in (subject, message):
        assert account not in text
        assert "AKIA" not in text
    assert "of fruits-***: arn:aws:iam::***:role/x" in message


def test_a_subject_is_what_sns_takes(mailbox: Mailbox) -> None:
    telling.tell(context(), Notice(f"épi {'x' * 200}", "", ""))
    [(subject, _)] = mailbox.letters()
    assert subject.startswith("fruit_features: ?pi xx")
    assert len(subject) == 100


def test_braces_in_a_message_are_text(mailbox: Mailbox) -> None:
    telling.tell(context(), Notice("a run is red", "It said {{ 1 + 1 }}.", "mend it."))
    assert "It said {{ 1 + 1 }}." in mailbox.letters()[0][1]


def test_another_notifier_of_airflow_has_subject_message_and_airflows_variables_in_its_templates(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = {
        "queue_url": mailbox.queue_url,
        "message_body": "{{ run_id }}: {{ subject }}: {{ message }}",
        "region_name": ELSEWHERE,
    }
    kind = "airflow.providers.amazon.aws.notifications.sqs.SqsNotifier"
    monkeypatch.setenv("FRUITS_NOTIFY", f"{kind} {json.dumps(arguments)}")
    telling.tell(context(), NOTICE)
    [body] = mailbox.bodies()
    assert body.startswith(
        "run 1: fruit_features: a run is red: It failed.\n\nRun: run 1 of fruit_features\n"
    )


class Broken(BaseNotifier):
    """A notifier of the operator's own, whose service is down."""

    def notify(self, context: Any) -> None:
        raise OSError("arn:aws:sns:eu-west-1:123456789012:notices does not answer")


@pytest.mark.parametrize("broken", [f"{__name__}.Broken", "arn:aws:sns:eu-west-1:123456789012:no-such-topic"])
def test_who_cannot_be_reached_is_one_warning_without_the_account(
    broken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FRUITS_NOTIFY", broken)
    telling.tell(context(), NOTICE)
    [warning] = warnings(caplog)
    assert warning.startswith("Nobody could be told that a run is red: ")
    assert "123456789012" not in warning


def test_a_connection_that_leads_out_of_the_eu_tells_nobody(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    extra = {"conn_type": "aws", "extra": {"endpoint_url": "https://sns.us-east-1.amazonaws.com"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(extra))
    telling.tell(context(), NOTICE)
    assert mailbox.letters() == []
    assert "'us-east-1', which is not an EU region" in warnings(caplog)[-1]
