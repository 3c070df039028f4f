"""Who follows the pointer reads one whole result, while results are published, fail and are removed."""

import json
import runpy
import threading

import pyarrow.parquet as pq
import pytest
from botocore.client import BaseClient
from pyarrow import fs

from fruit_contract.layout import FEATURES_PREFIX, LATEST_KEY
from fruit_pipeline.results import garbage
from local_aws.server import LocalAws
from tests.conftest import REPOSITORY
from tests.publisher import KEPT, PARTS, ROWS, publish_next

ROUNDS = 12


@pytest.fixture
def reader(aws: LocalAws) -> fs.S3FileSystem:
    environment = aws.environment
    return fs.S3FileSystem(
        endpoint_override=environment["AWS_ENDPOINT_URL"].partition("://")[2],
        scheme="http",
        region="eu-west-1",
        access_key=environment["AWS_ACCESS_KEY_ID"],
        secret_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def read_current(store: fs.S3FileSystem, bucket: str) -> str:
    """The label that all rows of the current result have; it is whole."""
    with store.open_input_stream(f"{bucket}/{LATEST_KEY}") as stream:
        where = json.loads(stream.read())["pca_output"].removeprefix("s3://").rstrip("/")
    table = pq.read_table(where, filesystem=store, partitioning=None)
    assert table.num_rows == PARTS * ROWS, f"{table.num_rows} rows in {where}"
    (label,) = set(table.column("label").to_pylist())
    return str(label)


def test_a_pyarrow_reader_in_a_loop_always_reads_one_whole_result(
    s3: BaseClient, bucket: str, reader: fs.S3FileSystem
) -> None:
    publish_next(s3, bucket, 0)
    seen, problems = [int(read_current(reader, bucket))], list[BaseException]()
    asked = threading.Semaphore(0)

    def publish() -> None:
        try:
            for number in range(1, ROUNDS):
                asked.acquire()
                publish_next(s3, bucket, number)
        except BaseException as problem:  # handed to the test
            problems.append(problem)

    publisher = threading.Thread(target=publish)
    publisher.start()
    # A reader who is overtaken by more results than are kept would find its own gone: one a reading.
    while publisher.is_alive():
        asked.release()
        seen.append(int(read_current(reader, bucket)))
    publisher.join()
    assert problems == []
    seen.append(int(read_current(reader, bucket)))
    assert seen == sorted(seen), "a reader saw an older result after a newer one"
    assert seen[-1] == ROUNDS - 1
    assert len(set(seen)) > 1


def test_the_recipes_of_the_guide_read_the_current_result_alone(
    s3: BaseClient, aws: LocalAws, bucket: str, reader: fs.S3FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    # PyArrow has no variable that names an endpoint.
    monkeypatch.setattr(fs, "S3FileSystem", lambda region: reader)
    guide = runpy.run_path(str(REPOSITORY / "docs" / "guides" / "reading.py"))
    guide["address"].__globals__["BUCKET"] = bucket
    for number in range(2):
        publish_next(s3, bucket, number)
        assert guide["address"]() == f"s3://{bucket}/Results/pca_output/run=run-{number}/"
        table = guide["with_pyarrow"]()
        assert (table.num_rows, table.column_names) == (PARTS * ROWS, ["path", "label", "features"])
        assert set(table.column("label").to_pylist()) == {str(number)}


def test_what_was_never_published_and_what_is_superseded_is_bounded(s3: BaseClient, bucket: str) -> None:
    """Of the published runs as many are left as are kept, by S3's own clock for the others."""
    for number in range(5):
        publish_next(s3, bucket, number)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=FEATURES_PREFIX, Delimiter="/")["CommonPrefixes"]
    names = {entry["Prefix"].removeprefix(FEATURES_PREFIX).rstrip("/") for entry in listed}
    assert {name for name in names if name.startswith("run=run-")} == {"run=run-3", "run=run-4"}
    done = garbage.collect(s3, bucket, KEPT)
    assert done.removed == []
    assert "run=half-0" in names, "it may still be under way, for all that can be known"
