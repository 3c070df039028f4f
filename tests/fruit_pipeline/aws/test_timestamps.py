"""Times are those that botocore's own parser gives, in whatever form AWS sends them."""

import json
from datetime import UTC
from typing import Any

import pytest
from botocore.utils import parse_timestamp

from fruit_pipeline.aws.clients import client
from fruit_pipeline.aws.timestamps import _parsed
from tests.fruit_pipeline.conftest import BUCKET, REGION


@pytest.mark.parametrize(
    "sent",
    [
        "2026-11-20T10:00:00.000Z",
        "2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00.123456Z",
        "2026-11-20T12:00:00+02:00",
        "Fri, 20 Nov 2026 10:00:00 GMT",
        "1795168800",
        1795168800,
        1795168800.25,
    ],
)
def test_a_time_is_the_one_that_botocore_reads(sent: str | float) -> None:
    assert _parsed(sent) == parse_timestamp(sent)
    assert _parsed(sent).utcoffset() == parse_timestamp(sent).utcoffset()


def test_a_wrong_time_is_an_error_of_the_same_class() -> None:
    for read in (_parsed, parse_timestamp):
        with pytest.raises(ValueError, match="month"):
            read("2026-13-20T10:00:00Z")


def test_the_clients_of_a_run_parse_times_fast(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "aws", "login": "testing", "password": "testing"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    (entry,) = client("s3", REGION).list_objects_v2(Bucket=BUCKET)["Contents"]
    # dateutil, which is slow, has a class of its own for UTC.
    assert entry["LastModified"].tzinfo is UTC
