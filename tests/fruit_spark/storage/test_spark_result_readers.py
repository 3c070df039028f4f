"""Promise: a Spark reader on S3A that follows the pointer reads one whole result, whatever goes on."""

import json
import os
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from fruit_contract.layout import LATEST_KEY
from fruit_spark.storage import hadoop
from tests.fruit_spark.conftest import ROOT, S3_ENVIRONMENT
from tests.fruit_spark.storage.test_s3 import create_bucket

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKET = "fruits-readers"
ROWS = 60
"""Of a result of tests/publisher.py."""
ROUNDS = 12


@pytest.fixture
def publisher(s3_endpoint: str) -> Iterator["subprocess.Popen[str]"]:
    """Publishes one result for each line that it is sent; boto3 is not in this environment."""
    create_bucket(s3_endpoint, BUCKET)
    with subprocess.Popen(
        [str(ROOT / ".venv" / "airflow" / "bin" / "python"), "-m", "tests.publisher", BUCKET],
        cwd=ROOT,
        env={**os.environ, **S3_ENVIRONMENT, "AWS_ENDPOINT_URL": s3_endpoint},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        yield started
        assert started.stdin is not None
        started.stdin.close()
        assert started.wait(timeout=60) == 0


def read_pointer(spark: "SparkSession") -> str:
    """Where the current result lies. S3A says so when the pointer has moved between its two requests."""
    from py4j.protocol import Py4JJavaError

    for _ in range(ROUNDS):
        try:
            latest = json.loads(hadoop.read_bytes(spark, f"s3a://{BUCKET}/{LATEST_KEY}"))
        except Py4JJavaError as problem:
            if "RemoteFileChangedException" not in str(problem):
                raise
        else:
            return str(latest["pca_output"])
    pytest.fail("the pointer moved at every attempt to read it")


def read_current(spark: "SparkSession") -> int:
    where = hadoop.hadoop_uri(spark, read_pointer(spark))
    rows = spark.read.parquet(where).select("path", "label").collect()
    assert len({row["path"] for row in rows}) == len(rows) == ROWS
    (label,) = {row["label"] for row in rows}
    return int(label)


def test_a_spark_reader_in_a_loop_always_reads_one_whole_result(
    spark: "SparkSession", publisher: "subprocess.Popen[str]"
) -> None:
    assert publisher.stdin is not None
    assert publisher.stdout is not None

    def ask() -> None:
        assert publisher.stdin is not None
        publisher.stdin.write("publish\n")
        publisher.stdin.flush()

    ask()
    assert publisher.stdout.readline() == "0\n"
    seen = []
    for number in range(1, ROUNDS):
        ask()
        # While the next result is written, published, and an older one is removed.
        seen += [read_current(spark), read_current(spark)]
        assert publisher.stdout.readline() == f"{number}\n"
    seen.append(read_current(spark))
    assert seen == sorted(seen)
    assert seen[-1] == ROUNDS - 1
