"""Times are those that botocore's own parser gives, in whatever form AWS sends them; files are read once."""

import json
from datetime import UTC
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader, Loader
from botocore.utils import parse_timestamp

from fruit_pipeline.aws.clients import client
from fruit_pipeline.aws.fast_sessions import _parsed, made_fast
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


def test_what_describes_a_service_is_read_once_for_all_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    first = made_fast(boto3.Session(region_name=REGION)).client("s3")
    read: list[str] = []
    load = JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: read.append(path) or load(self, path))
    second = made_fast(boto3.Session(region_name=REGION)).client("s3")
    assert read == []
    assert second.meta.service_model.operation_names == first.meta.service_model.operation_names
    assert second.meta.service_model is not first.meta.service_model
    Loader().load_service_model("s3", "service-2")
    assert read, "nothing is counted"


def test_a_folder_of_other_descriptions_is_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    loader = made_fast(boto3.Session())._session.get_component("data_loader")
    assert str(tmp_path) in loader.search_paths
