"""Whom people are told by is checked when a DAG is parsed: what is wrong is one sentence."""

import pytest

from fruit_pipeline.errors import PipelineError
from fruit_pipeline.security.regions import ResidencyError
from fruit_pipeline.settings import notifier
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.notifier import NotifierError

SMTP = "airflow.providers.smtp.notifications.smtp.SmtpNotifier"
TOPIC = "arn:aws:sns:eu-west-3:123456789012:notices"


@pytest.mark.parametrize(
    "text", ["", TOPIC, f'{SMTP} {{"to": "a@example.org", "subject": "{{{{ subject }}}}"}}']
)
def test_nobody_a_topic_and_any_notifier_are_accepted(text: str) -> None:
    assert Deployment(notify=text).notify == text


def test_a_topic_is_asked_in_its_own_region() -> None:
    assert notifier.topic_region(TOPIC) == "eu-west-3"
    assert notifier.topic_region(SMTP) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "arn:aws:sqs:eu-west-1:123456789012:queue",
            r"'arn:aws:sqs:eu-west-1:\*{3}:queue' is no topic of SNS",
        ),
        (f"{TOPIC}.fifo", "is no topic of SNS: write .* of a standard topic"),
        (f"{TOPIC}:0b5a6a9e-subscription", "is no topic of SNS"),
        ("notices", "names notices, which cannot be imported"),
        (
            "no.such.Notifier",
            r"cannot be imported \(No module named 'no'\): write a topic's ARN, or the path",
        ),
        ("airflow.sdk.NoSuchNotifier", "cannot be imported"),
        ("airflow.sdk.BaseOperator", "names airflow.sdk.BaseOperator, which is no BaseNotifier"),
        ("fruit_pipeline.errors.PipelineError", "is no BaseNotifier"),
        (f"{SMTP} to=a@example.org", "has arguments that are no JSON"),
        (f'{SMTP} ["a@example.org"]', "has arguments that are no JSON object"),
        (
            f'{SMTP} {{"to": "a@example.org", "too": "b@example.org"}}',
            "gives .*SmtpNotifier wrong arguments .*'too'",
        ),
        (f"{SMTP}", "gives .*SmtpNotifier wrong arguments .*missing 1 required .*'to'"),
        (
            f'{SMTP} {{"to": "a@example.org", "template": "/secret"}}',
            r"wrong arguments \(FileNotFoundError\)",
        ),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(text: str, why: str) -> None:
    with pytest.raises(NotifierError, match=why) as caught:
        Deployment(notify=text)
    assert str(caught.value).startswith("FRUITS_NOTIFY ")
    for secret in ("123456789012", "a@example.org", "/secret"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "arn:aws:sns:us-east-1:123456789012:notices",
        'airflow.providers.amazon.aws.notifications.sns.SnsNotifier {"target_arn": '
        '"arn:aws:sns:us-east-1:123456789012:notices", "message": "{{ message }}"}',
    ],
)
def test_a_topic_outside_the_eu_is_refused(text: str) -> None:
    with pytest.raises(ResidencyError, match="FRUITS_NOTIFY has an ARN whose region 'us-east-1' is not in"):
        Deployment(notify=text)


def test_a_wrong_setting_is_a_refusal_like_any_other() -> None:
    assert issubclass(NotifierError, PipelineError)
