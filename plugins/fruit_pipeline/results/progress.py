"""How far a step is, as it says itself on S3. Nobody who reads that depends on it."""

from datetime import datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import TypeAdapter, ValidationError

from fruit_contract.layout import split_uri
from fruit_contract.progress import Progress

_LONGEST: Final = 1_000
"""Bytes; a step writes some 150."""
_PROGRESS: Final = TypeAdapter(Progress)


def parse(content: bytes, since: datetime) -> Progress | None:
    """What a step says that began after ``since``; None for what is no progress, or an earlier step's."""
    try:
        progress = _PROGRESS.validate_json(content)
        return progress if progress.started >= since else None
    except (ValidationError, TypeError):  # a time without its zone cannot be compared
        return None


def read(s3: Any, address: str, since: datetime) -> Progress | None:
    """The same of the document at an S3 address; None also where S3 does not give it."""
    bucket, key = split_uri(address)
    try:
        return parse(s3.get_object(Bucket=bucket, Key=key)["Body"].read(_LONGEST), since)
    except (ClientError, BotoCoreError):
        return None


async def read_async(s3: Any, address: str, since: datetime) -> Progress | None:
    """The same with aiobotocore's client, whose errors are botocore's."""
    bucket, key = split_uri(address)
    try:
        answer = await s3.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            return parse(await body.read(_LONGEST), since)
    except (ClientError, BotoCoreError):
        return None
