"""What S3 tells a queue about a bucket: which keys were written and removed. Pure.

The format: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus

_CREATED: Final = "ObjectCreated:"
_REMOVED: Final = ("ObjectRemoved:", "LifecycleExpiration:")
_TEST: Final = "s3:TestEvent"


class NotAnS3EventError(ValueError):
    """The message was not written by S3; the text says what it lacks, and repeats nothing of it."""


@dataclass(frozen=True)
class Change:
    """One object that was written or removed."""

    bucket: str
    key: str
    created: bool


def changes_in(body: str) -> list[Change]:
    """The changes that one message tells of.

    None for the message by which S3 tries a new notification, and for events that leave an object's
    bytes as they were (tags, restores); ``NotAnS3EventError`` for anything else.
    """
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAnS3EventError("it is not JSON") from None
    if not isinstance(message, dict):
        raise NotAnS3EventError("it is no JSON object")
    if message.get("Event") == _TEST and message.get("Service") == "Amazon S3":
        return []
    records = message.get("Records")
    if not isinstance(records, list) or not records:
        raise NotAnS3EventError("it has no list Records")
    return list(_changes(records))


def _changes(records: list[Any]) -> Iterator[Change]:
    for number, record in enumerate(records):
        match record:
            case {
                "eventSource": "aws:s3",
                "eventName": str(event),
                "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(key)}},
            }:
                if event.startswith((_CREATED, *_REMOVED)):
                    # Keys are URL-encoded, a space as a plus.
                    yield Change(bucket, unquote_plus(key), created=event.startswith(_CREATED))
            case _:
                raise NotAnS3EventError(f"its record {number} lacks what an event of S3 has")
