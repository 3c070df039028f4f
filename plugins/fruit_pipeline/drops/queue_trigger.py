"""Watches the queue that S3 tells of photos, for as long as Airflow's triggerer lives.

The provider's trigger ends after its first message and fails with the first error; Airflow starts it
again, until something in between does not (apache/airflow#51213: a watcher that fell silent). This one
neither ends nor fails: an error is a line in the triggerer's log, and the next attempt.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from airflow.providers.amazon.aws.triggers.sqs import SqsSensorTrigger
from airflow.triggers.base import TriggerEvent
from asgiref.sync import sync_to_async
from botocore.exceptions import ClientError

from fruit_contract.layout import is_image_key
from fruit_pipeline.drops.s3_events import NotAnS3EventError, changes_in
from fruit_pipeline.security import residency
from fruit_pipeline.security.redaction import redacted_text
from fruit_pipeline.settings.deployment import PERSISTED_SECONDS

try:
    from airflow.sdk.log import amask_secret
except ImportError:  # Airflow 3.2 has only the one that blocks
    from airflow.sdk.log import mask_secret

    amask_secret = sync_to_async(mask_secret)

HEARTBEAT_SECONDS: Final = 300.0
"""How often the log says that the queue is watched, when nothing else happens."""
LONGEST_PAUSE_SECONDS: Final = 60.0
"""The longest wait between two attempts after errors; until then it doubles."""
MOST_MESSAGES: Final = 10_000
"""Of one poll; a drop that is larger is told of in several events."""

_MESSAGES_A_CALL: Final = 10
"""SQS's own limit, for ReceiveMessage and DeleteMessageBatch."""
_CALLS_AT_ONCE: Final = 8
RECEIVE_SECONDS: Final = 30.0
CALL_SECONDS: Final = 60.0
"""No round of calls takes longer: what hangs is given up, and tried again with a new client."""
VISIBILITY_SECONDS: Final = 120
"""Longer than receiving, storing and deleting together take; after it, what was not deleted comes again."""
CLIENT_SECONDS: Final = 600.0
"""A client is made anew after this, and after every error, and with it its credentials."""
CALLS: Final[dict[str, Any]] = {
    "connect_timeout": 10,
    "read_timeout": 20,
    "retries": {"mode": "standard", "total_max_attempts": 3},
}

log = logging.getLogger(__name__)


@dataclass
class Poll:
    """What one look into the queue brought."""

    created: int = 0
    removed: int = 0
    """Photos below the prefix that were written or removed, as often as S3 told so."""
    ignored: int = 0
    """Changes of other objects: results, other prefixes, files that are no photos."""
    left: dict[str, str] = field(default_factory=dict)
    """Why messages that are not S3's are left to the queue's redrive policy, by message id."""
    understood: list[str] = field(default_factory=list)
    """Receipt handles of the messages that may be deleted."""

    @property
    def has_news(self) -> bool:
        return bool(self.created or self.removed)


class PhotoEventsTrigger(SqsSensorTrigger):
    """Fires when photos were written to, or removed from, ``prefix`` of ``bucket``.

    Each look into the queue that brings news is one event of counts, ``{"created", "removed",
    "ignored"}``. What S3 told is deleted some seconds after the event, when Airflow has stored it; what
    S3 did not tell is left, for the queue's redrive policy to move it to the dead-letter queue.

    :param sqs_queue: the queue's URL
    :param bucket: changes of other buckets are ignored
    :param prefix: changes of keys that do not begin with it are ignored
    :param region_name: the queue's region
    :param aws_conn_id: Airflow's AWS connection
    :param poll_seconds: how often to look
    """

    def __init__(
        self,
        sqs_queue: str,
        bucket: str,
        prefix: str,
        region_name: str,
        aws_conn_id: str | None = "aws_default",
        poll_seconds: float = 30.0,
    ) -> None:
        super().__init__(
            sqs_queue=sqs_queue, aws_conn_id=aws_conn_id, region_name=region_name, botocore_config=CALLS
        )
        self.bucket, self.prefix, self.poll_seconds = bucket, prefix, poll_seconds
        # The account's id is the folder of the queue's address: neither is ever logged.
        folder, _, self._name = sqs_queue.rpartition("/")
        self._account = folder.rpartition("/")[2]

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "sqs_queue": self.sqs_queue,
                "bucket": self.bucket,
                "prefix": self.prefix,
                "region_name": self.region_name,
                "aws_conn_id": self.aws_conn_id,
                "poll_seconds": self.poll_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look into the queue for ever."""
        await amask_secret(self._account)
        log.info(
            "Watching the queue %s every %g s for photos below s3://%s/%s.",
            self._name,
            self.poll_seconds,
            self.bucket,
            self.prefix,
        )
        failed_in_a_row, heartbeat = 0, _Heartbeat(self._name)
        while True:
            try:
                async with AsyncExitStack() as stack:
                    async with asyncio.timeout(CALL_SECONDS):
                        client = await stack.enter_async_context(self._client())
                    expires_at = time.monotonic() + CLIENT_SECONDS
                    while time.monotonic() < expires_at:
                        poll = await self._look(client)
                        if failed_in_a_row:
                            log.info(
                                "The queue %s is read again, after %d failed attempts.",
                                self._name,
                                failed_in_a_row,
                            )
                            failed_in_a_row = 0
                        if poll.has_news:
                            yield TriggerEvent(
                                {"created": poll.created, "removed": poll.removed, "ignored": poll.ignored}
                            )
                            await asyncio.sleep(PERSISTED_SECONDS)
                        await self._delete(client, poll.understood)
                        if line := heartbeat.after(poll):
                            log.info(line)
                        await asyncio.sleep(self.poll_seconds)
            except Exception as error:
                # Whatever it was. Cancellation, by which Airflow ends a trigger, is no Exception.
                failed_in_a_row += 1
                pause = min(self.poll_seconds * 2 ** min(failed_in_a_row, 10), LONGEST_PAUSE_SECONDS)
                log.warning(
                    "The queue %s cannot be read: %s. Attempt %d in a row; the next is in %.0f s.",
                    self._name,
                    self._words(error),
                    failed_in_a_row,
                    pause,
                )
                await asyncio.sleep(pause)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Any]:
        """An SQS client that stays in the EU, whatever Airflow's connection says."""
        hook = self.hook
        extra = await sync_to_async(lambda: hook.conn_config.extra_config)()
        residency.check_connection(extra)
        async with await hook.get_async_conn() as client:
            residency.check_client(client, "sqs")
            yield client

    async def _look(self, client: Any) -> Poll:
        """Receive until the queue is empty, or it is time to say what came."""
        poll, began = Poll(), time.monotonic()
        messages = await self._receive(client, 1)
        received = len(messages)
        self._read(messages, poll)
        while messages and received < MOST_MESSAGES and time.monotonic() < began + RECEIVE_SECONDS:
            messages = await self._receive(client, _CALLS_AT_ONCE)
            received += len(messages)
            self._read(messages, poll)
        return poll

    async def _receive(self, client: Any, calls: int) -> list[dict[str, Any]]:
        request = {
            "QueueUrl": self.sqs_queue,
            "MaxNumberOfMessages": _MESSAGES_A_CALL,
            "MessageSystemAttributeNames": ["ApproximateReceiveCount"],
            "VisibilityTimeout": VISIBILITY_SECONDS,
            # Any wait at all has SQS look on all its servers rather than on some.
            "WaitTimeSeconds": 1,
        }
        async with asyncio.timeout(CALL_SECONDS):
            answers = await asyncio.gather(*(client.receive_message(**request) for _ in range(calls)))
        return [message for answer in answers for message in answer.get("Messages", [])]

    def _read(self, messages: Iterable[dict[str, Any]], poll: Poll) -> None:
        for message in messages:
            try:
                changes = changes_in(message["Body"])
            except NotAnS3EventError as error:
                self._leave(message, str(error), poll)
                continue
            poll.understood.append(message["ReceiptHandle"])
            for change in changes:
                if change.bucket != self.bucket or not self._is_photo(change.key):
                    poll.ignored += 1
                elif change.created:
                    poll.created += 1
                else:
                    poll.removed += 1

    def _is_photo(self, key: str) -> bool:
        return key.startswith(self.prefix) and is_image_key(key)

    def _leave(self, message: dict[str, Any], why: str, poll: Poll) -> None:
        poll.left[message["MessageId"]] = why
        # It comes again until the queue has had enough of it; one line is enough before that.
        if message.get("Attributes", {}).get("ApproximateReceiveCount", "1") == "1":
            log.warning(
                "Message %s of the queue %s is no event of S3 (%s): it is left to the redrive policy.",
                message["MessageId"],
                self._name,
                why,
            )

    async def _delete(self, client: Any, handles: Sequence[str]) -> None:
        """Delete messages; those that SQS will not delete come again, and do no harm twice."""

        def delete(some: Sequence[str]) -> Any:
            entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(some)]
            return client.delete_message_batch(QueueUrl=self.sqs_queue, Entries=entries)

        refused = 0
        for at_once in _parts(handles, _MESSAGES_A_CALL * _CALLS_AT_ONCE):
            async with asyncio.timeout(CALL_SECONDS):
                answers = await asyncio.gather(*(delete(some) for some in _parts(at_once, _MESSAGES_A_CALL)))
            refused += sum(len(answer.get("Failed", [])) for answer in answers)
        if refused:
            log.warning("SQS kept %d messages of the queue %s: they will come again.", refused, self._name)

    def _words(self, error: Exception) -> str:
        if isinstance(error, ClientError):
            told = error.response["Error"]
            text = f"{told.get('Code')}: {told.get('Message')}"
        else:
            text = f"{type(error).__name__}: {error}".removesuffix(": ")
        return redacted_text(text.replace(self._account, "***") if self._account else text)


@dataclass
class _Heartbeat:
    """What happened since the last line about it."""

    queue: str
    since: float = field(default_factory=time.monotonic)
    looks: int = 0
    changes: int = 0
    ignored: int = 0
    left: int = 0

    def after(self, poll: Poll) -> str | None:
        """Count a look; the line, when it is time for one."""
        self.looks += 1
        self.changes += poll.created + poll.removed
        self.ignored += poll.ignored
        self.left += len(poll.left)
        seconds = time.monotonic() - self.since
        if seconds < HEARTBEAT_SECONDS:
            return None
        line = (
            f"The queue {self.queue} is watched: {self.looks} looks in {seconds:.0f} s, {self.changes} "
            f"changes of photos, {self.ignored} others, {self.left} messages that are no event of S3."
        )
        self.since, self.looks, self.changes, self.ignored, self.left = time.monotonic(), 0, 0, 0, 0
        return line


def _parts(handles: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (handles[start : start + size] for start in range(0, len(handles), size))
