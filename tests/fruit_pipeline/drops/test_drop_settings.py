"""Settings of drops that cannot work are refused, and none of them lets the account's id out."""

import pytest
from pydantic import ValidationError

from fruit_pipeline.security.regions import ResidencyError
from fruit_pipeline.settings.deployment import Deployment


def test_without_a_queue_nobody_watches() -> None:
    assert Deployment().queue_url == ""


@pytest.mark.parametrize(
    "url",
    [
        "https://sqs.us-east-1.amazonaws.com/123456789012/photos",
        "http://sqs.eu-west-1.amazonaws.com/123456789012/photos",
        "https://queue.example.com/123456789012/photos",
        "photos",
    ],
)
def test_a_queue_outside_the_eu_or_without_tls_is_refused_without_its_account(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("FRUITS_QUEUE_URL", url)
    with pytest.raises(ResidencyError, match="FRUITS_QUEUE_URL") as refused:
        Deployment()
    assert "123456789012" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["https://sqs.eu-west-1.amazonaws.com/123456789012/photos", "http://127.0.0.1:5000/123456789012/q"]
)
def test_a_queue_in_the_eu_or_on_this_machine_is_taken(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("FRUITS_QUEUE_URL", url)
    assert Deployment().queue_url == url


def test_a_silence_shorter_than_two_looks_into_the_queue_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUITS_DROP_POLL_SECONDS", "60")
    monkeypatch.setenv("FRUITS_DROP_QUIET_MINUTES", "1")
    with pytest.raises(ValidationError, match=r"FRUITS_DROP_QUIET_MINUTES 1 is no longer than the 65 s"):
        Deployment()
