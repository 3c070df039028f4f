"""Times in the answers of AWS, parsed by the standard library where it can.

botocore parses them with dateutil, which is two thirds of a listing's work: 61 ms of one core for a thousand
keys, and threads do not share it.
"""

from datetime import datetime

import boto3
from botocore.utils import parse_timestamp


def parse_times_fast(session: boto3.Session) -> boto3.Session:
    """Have every client of the session parse ISO 8601 fast; returns the session.

    By botocore's setting for that, ``timestamp_parser``, which the AWS CLI uses too.
    """
    # boto3 does not give out its botocore session by a public name.
    parsers = session._session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_parsed)
    return session


def _parsed(value: str | float) -> datetime:
    if isinstance(value, str) and value.endswith("Z"):
        return datetime.fromisoformat(value)
    parsed: datetime = parse_timestamp(value)
    return parsed
