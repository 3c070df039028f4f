"""The watcher tells Airflow of every drop, deletes what S3 told and nothing else, and never ends.

Its client is the real one (aiobotocore), its queue local AWS's, whose faults stand for those of SQS.
"""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from botocore.client import BaseClient

from fruit_pipeline.drops import queue_trigger
from fruit_pipeline.drops.queue_trigger import PhotoEventsTrigger
from local_aws.control import Control
from local_aws.faults import Drop, Error, Fault, Throttle
from local_aws.moto_server import ACCOUNT_ID
from local_aws.server import LocalAws
from local_run import local_account
from tests.dev.local_aws.emr_client import client

REGION = "eu-west-1"
PREFIX = "Test/"
_PATIENCE_SECONDS = 600.0


@pytest.fixture
def sqs(aws: LocalAws) -> BaseClient:
    return client(aws, "sqs")


@pytest.fixture
def queue(sqs: Any, s3: Any, bucket: str) -> Iterator[str]:
    """A queue that is told of ``bucket``, as the account of a run has it."""
    url = local_account.create_queue(sqs, bucket)
    local_account.tell_queue(s3, sqs, bucket, PREFIX, url)
    yield url
    for each in (url, f"{url}-dead-letters"):
        sqs.delete_queue(QueueUrl=each)


@pytest.fixture(autouse=True)
def _in_a_hurry(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_trigger, "PERSISTED_SECONDS", 0.05)
    monkeypatch.setattr(queue_trigger, "LONGEST_PAUSE_SECONDS", 0.3)
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")


def trigger(queue: str, bucket: str, poll_seconds: float = 0.05) -> PhotoEventsTrigger:
    return PhotoEventsTrigger(queue, bucket, PREFIX, REGION, poll_seconds=poll_seconds)


class Watch:
    """A trigger that runs as in Airflow's triggerer, and what it has told."""

    def __init__(self, watcher: PhotoEventsTrigger) -> None:
        self.events: list[dict[str, int]] = []
        self._watcher = watcher

    async def __aenter__(self) -> "Watch":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert not self._task.done(), "the watcher has ended by itself"
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        async for event in self._watcher.run():
            self.events.append(event.payload)

    def told(self, what: str) -> int:
        return sum(event[what] for event in self.events)

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        # The condition asks local AWS: in a thread, as the watcher must go on.
        while not await asyncio.to_thread(holds):
            assert not self._task.done(), "the watcher has ended by itself"
            assert time.monotonic() < deadline, f"waited {_PATIENCE_SECONDS:.0f} s until {what}"
            await asyncio.sleep(0.1)


def event(bucket: str, key: str = "Test/Apple/1.jpg", name: str = "ObjectCreated:Put") -> str:
    record = {
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": bucket}, "object": {"key": key}},
    }
    return json.dumps({"Records": [record]})


def send(sqs: Any, queue: str, bodies: list[str]) -> None:
    for start in range(0, len(bodies), 10):
        entries = [
            {"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies[start : start + 10])
        ]
        assert not sqs.send_message_batch(QueueUrl=queue, Entries=entries).get("Failed")


def messages_in(sqs: Any, queue: str) -> int:
    """Those that wait and those that somebody has received and not deleted.

    SQS counts one after the other: a message that is received meanwhile is in neither. So it is asked twice.
    """
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    looks = [sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"] for _ in range(2)]
    return max(sum(int(found[name]) for name in names) for found in looks)


def test_a_drop_is_told_in_counts_and_its_messages_are_gone(
    sqs: Any, s3: Any, bucket: str, queue: str
) -> None:
    async def drop() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            for number in range(12):
                s3.put_object(Bucket=bucket, Key=f"Test/Épi rouge/a+b {number} %.jpg", Body=b"photo")
            s3.delete_object(Bucket=bucket, Key="Test/Épi rouge/a+b 0 %.jpg")
            await watch.until(lambda: watch.told("created") + watch.told("removed") == 13, "all are told of")
            await watch.until(lambda: messages_in(sqs, queue) == 0, "all messages are deleted")
        return watch

    watch = asyncio.run(drop())
    assert (watch.told("created"), watch.told("removed"), watch.told("ignored")) == (12, 1, 0)


def test_deletions_in_a_versioned_bucket_are_told_too(sqs: Any, s3: Any, bucket: str, queue: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"Test/Apple/{number}.jpg", Body=b"photo")
    s3.delete_object(Bucket=bucket, Key="Test/Apple/0.jpg")
    s3.delete_objects(
        Bucket=bucket, Delete={"Objects": [{"Key": f"Test/Apple/{number}.jpg"} for number in (1, 2)]}
    )

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: watch.told("removed") == 3, "three deletions are told of")
        return watch

    assert asyncio.run(look()).told("created") == 3


def test_other_prefixes_other_buckets_and_other_files_are_deleted_and_start_nothing(
    sqs: Any, bucket: str, queue: str
) -> None:
    send(
        sqs,
        queue,
        [
            event(bucket, "Results/pca_output/run=1/part-0.parquet"),
            event(bucket, "Results/reports/run=1/variance.jpg"),
            event(bucket, "Test/Apple/"),
            event(bucket, "Test/Apple/notes.txt"),
            event("another-bucket"),
            event(bucket, name="ObjectTagging:Put"),
            json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket}),
        ],
    )

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: messages_in(sqs, queue) == 0, "all messages are deleted")
        return watch

    assert asyncio.run(look()).events == []
    assert messages_in(sqs, f"{queue}-dead-letters") == 0


MALFORMED = {
    "not json": "it is not JSON",
    "[" * 100_000: "it is not JSON",
    "[]": "it is no JSON object",
    '{"Records": []}': "it has no list Records",
    '{"Event": "s3:TestEvent"}': "it has no list Records",
    '{"Records": [{"eventSource": "aws:sns", "secret": "do not show"}]}': "its record 0 lacks",
    '{"Records": [{"eventSource": "aws:s3", "eventName": 1, "s3": {}}]}': "its record 0 lacks",
}


def test_what_s3_did_not_write_goes_to_the_dead_letter_queue_with_one_line_each(
    sqs: Any, bucket: str, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Messages come again at once, so a look is one call: in a longer one they would be counted to death.
    monkeypatch.setattr(queue_trigger, "VISIBILITY_SECONDS", 1)
    monkeypatch.setattr(queue_trigger, "RECEIVE_SECONDS", 0.0)
    send(sqs, queue, [*MALFORMED, event(bucket)])

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            dead = f"{queue}-dead-letters"
            await watch.until(lambda: messages_in(sqs, dead) == len(MALFORMED), "all are dead letters")
        return watch

    with caplog.at_level(logging.INFO):
        watch = asyncio.run(look())
    assert watch.told("created") >= 1, "what S3 did write is told of among them"
    lines = [record.getMessage() for record in caplog.records if "is no event of S3" in record.getMessage()]
    assert len(lines) == len(MALFORMED)
    for why in MALFORMED.values():
        assert any(why in line for line in lines)
    assert "do not show" not in caplog.text


def test_lost_duplicated_and_disordered_events_are_told_as_they_come(
    sqs: Any, bucket: str, queue: str
) -> None:
    put, removed = event(bucket), event(bucket, name="ObjectRemoved:Delete")
    send(sqs, queue, [removed, put, put, removed])

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: messages_in(sqs, queue) == 0, "all messages are deleted")
        return watch

    assert asyncio.run(look()).events == [{"created": 2, "removed": 2, "ignored": 0}]


def test_three_hundred_messages_are_one_event(sqs: Any, bucket: str, queue: str) -> None:
    send(sqs, queue, [event(bucket, f"Test/Apple/{number}.jpg") for number in range(300)])

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: bool(watch.events), "the drop is told of")
            await watch.until(lambda: messages_in(sqs, queue) == 0, "all messages are deleted")
        return watch

    assert asyncio.run(look()).events == [{"created": 300, "removed": 0, "ignored": 0}]


class Burst:
    """An SQS client with a queue of its own: local AWS's takes minutes for ten thousand messages."""

    def __init__(self, messages: int) -> None:
        self.waiting, self.received, self.deleted = messages, 0, set[str]()

    async def receive_message(self, MaxNumberOfMessages: int, **_: Any) -> dict[str, Any]:  # noqa: N803
        await asyncio.sleep(0)
        first = self.received
        self.received = min(self.waiting, first + MaxNumberOfMessages)
        names = [str(number) for number in range(first, self.received)]
        return (
            {"Messages": [{"MessageId": n, "ReceiptHandle": n, "Body": event("photos")} for n in names]}
            if names
            else {}
        )

    async def delete_message_batch(self, Entries: list[dict[str, str]], **_: Any) -> dict[str, Any]:  # noqa: N803
        assert len(Entries) <= 10
        self.deleted |= {entry["ReceiptHandle"] for entry in Entries}
        return {"Successful": Entries}


def test_a_burst_of_ten_thousand_is_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    burst = Burst(10_000)

    @asynccontextmanager
    async def of_burst(_: PhotoEventsTrigger) -> AsyncIterator[Burst]:
        yield burst

    monkeypatch.setattr(PhotoEventsTrigger, "_client", of_burst)

    async def look() -> Watch:
        async with Watch(trigger("http://127.0.0.1/123456789012/photos", "photos")) as watch:
            await watch.until(lambda: len(burst.deleted) == 10_000, "all messages are deleted")
        return watch

    assert asyncio.run(look()).events == [{"created": 10_000, "removed": 0, "ignored": 0}]


def test_messages_outlive_a_triggerer_that_dies_before_it_has_stored_the_event(
    sqs: Any, bucket: str, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_trigger, "PERSISTED_SECONDS", 3600.0)
    monkeypatch.setattr(queue_trigger, "VISIBILITY_SECONDS", 1)
    send(sqs, queue, [event(bucket)])

    async def look() -> None:
        for _ in range(2):
            async with Watch(trigger(queue, bucket)) as watch:
                await watch.until(lambda: watch.told("created") == 1, "the event is told of")

    asyncio.run(look())
    assert messages_in(sqs, queue) == 2, "the change, and the message by which S3 tried the notification"


EXPIRED = Error(
    status=403, code="ExpiredToken", message="The security token included in the request is expired"
)


@pytest.mark.parametrize(
    "effect",
    [EXPIRED, Error(status=500, code="InternalFailure", message="..."), Throttle(), Drop()],
    ids=["expired credentials", "server error", "throttled", "connection lost"],
)
def test_after_errors_the_next_drop_is_told_of(
    sqs: Any,
    s3: Any,
    bucket: str,
    queue: str,
    control: Control,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    effect: Any,
) -> None:
    # botocore would hide the first of them by trying again itself.
    monkeypatch.setitem(queue_trigger.CALLS, "retries", {"total_max_attempts": 1})
    control.add_fault(Fault(service="sqs", operation="ReceiveMessage", calls=4, effect=effect))

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: "is read again, after 4 failed" in caplog.text, "it has recovered")
            s3.put_object(Bucket=bucket, Key="Test/Apple/1.jpg", Body=b"photo")
            await watch.until(lambda: watch.told("created") == 1, "the drop is told of")
        return watch

    with caplog.at_level(logging.INFO):
        asyncio.run(look())
    assert caplog.text.count("cannot be read") == 4


def test_a_deletion_that_fails_brings_the_messages_again_and_nothing_worse(
    sqs: Any, bucket: str, queue: str, control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(queue_trigger.CALLS, "retries", {"total_max_attempts": 1})
    monkeypatch.setattr(queue_trigger, "VISIBILITY_SECONDS", 1)
    control.add_fault(Fault(service="sqs", operation="DeleteMessageBatch", calls=1, effect=EXPIRED))
    send(sqs, queue, [event(bucket)])

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: watch.told("created") >= 2, "the message has come again")
            await watch.until(lambda: messages_in(sqs, queue) == 0, "the message is deleted")
        return watch

    assert asyncio.run(look()).told("created") >= 2


def test_a_queue_that_is_deleted_and_made_again_is_watched_again(
    sqs: Any, s3: Any, bucket: str, queue: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await asyncio.to_thread(sqs.delete_queue, QueueUrl=queue)
            await watch.until(lambda: "NonExistentQueue" in caplog.text, "it has noticed")
            await asyncio.to_thread(local_account.create_queue, sqs, bucket)
            s3.put_object(Bucket=bucket, Key="Test/Apple/1.jpg", Body=b"photo")
            await watch.until(lambda: watch.told("created") == 1, "the drop is told of")
        return watch

    with caplog.at_level(logging.INFO):
        asyncio.run(look())
    assert ACCOUNT_ID not in caplog.text


def test_many_empty_looks_end_nothing_and_say_so_now_and_then(
    s3: Any, bucket: str, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(queue_trigger, "HEARTBEAT_SECONDS", 2.0)
    monkeypatch.setattr(queue_trigger, "CLIENT_SECONDS", 3.0)

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: caplog.text.count("is watched:") == 3, "three lines say so")
            s3.put_object(Bucket=bucket, Key="Test/Apple/1.jpg", Body=b"photo")
            await watch.until(lambda: watch.told("created") == 1, "the drop is told of")
        return watch

    with caplog.at_level(logging.INFO):
        asyncio.run(look())
    assert ACCOUNT_ID not in caplog.text


def test_a_call_that_hangs_is_given_up(
    sqs: Any, bucket: str, queue: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What no time limit of the client catches: a coroutine that is never woken again."""
    monkeypatch.setattr(queue_trigger, "CALL_SECONDS", 0.5)
    receive, hung = PhotoEventsTrigger._receive, []

    async def hang_once(self: PhotoEventsTrigger, some: Any, calls: int) -> list[dict[str, Any]]:
        if not hung:
            hung.append(True)
            some = type("Hanging", (), {"receive_message": lambda *_, **__: asyncio.Event().wait()})()
        return await receive(self, some, calls)

    monkeypatch.setattr(PhotoEventsTrigger, "_receive", hang_once)
    send(sqs, queue, [event(bucket)])

    async def look() -> Watch:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: watch.told("created") == 1, "the event is told of")
        return watch

    monkeypatch.setattr(queue_trigger, "CALL_SECONDS", 2.0)
    asyncio.run(look())
    assert "cannot be read: TimeoutError" in caplog.text


def test_a_connection_that_leaves_the_eu_is_never_used_and_said(
    sqs: Any,
    bucket: str,
    queue: str,
    control: Control,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = json.dumps({"conn_type": "aws", "extra": {"endpoint_url": "https://sqs.us-east-1.amazonaws.com"}})
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", away)

    async def look() -> None:
        async with Watch(trigger(queue, bucket)) as watch:
            await watch.until(lambda: caplog.text.count("'us-east-1'") == 2, "it was refused twice")

    asyncio.run(look())
    assert control.logged_calls(service="sqs", operation="ReceiveMessage").calls == []


def test_airflow_makes_the_trigger_again_from_what_it_stored_and_takes_it_for_the_same() -> None:
    """Were its hash another after a round through the database, every parse would start a new watcher."""
    from airflow.models.trigger import Trigger
    from airflow.serialization.encoders import encode_trigger
    from airflow.triggers.base import BaseEventTrigger

    watcher = trigger("https://sqs.eu-west-1.amazonaws.com/123456789012/photos", "fruits", 30.0)
    encoded = encode_trigger(watcher)
    stored = Trigger(classpath=encoded["classpath"], kwargs=encoded["kwargs"])
    assert BaseEventTrigger.hash(encoded["classpath"], encoded["kwargs"]) == BaseEventTrigger.hash(
        stored.classpath, stored.kwargs
    )
    again = PhotoEventsTrigger(**stored.kwargs)
    assert again.serialize() == watcher.serialize()


def test_making_the_queue_twice_is_making_it_once(sqs: Any, s3: Any, bucket: str, queue: str) -> None:
    """A local system finds the queue of the last time when it is started again."""
    assert local_account.create_queue(sqs, bucket) == queue
    local_account.tell_queue(s3, sqs, bucket, PREFIX, queue)
    told = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert [each["Events"] for each in told] == [["s3:ObjectCreated:*"], ["s3:ObjectRemoved:*"]]
