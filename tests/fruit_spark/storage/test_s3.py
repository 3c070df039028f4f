"""Promise: keys of any kind work on S3; what changed since the plan is rejected; no store, an error."""

import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fruit_spark.photos import fetch
from fruit_spark.photos.fetch import fetch_image
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.step_errors import StepError
from fruit_spark.steps.featurize_job import FeaturizeSettings, featurize
from fruit_spark.storage import hadoop, s3
from fruit_spark.storage.s3 import store_for
from tests.fruit_spark import photo_files
from tests.fruit_spark.steps.test_featurize_step import settings as settings
from tests.fruit_spark.steps.test_featurize_step import write_work_list

if TYPE_CHECKING:
    from obstore.store import S3Store
    from pyspark.sql import SparkSession

BUCKET = "fruits-classification-p9-tests"
KEYS = [
    "Test/Pink Lady/1 100.jpg",
    "Test/a+b/a+b.jpg",
    "Test/50%/a%20b.jpg",
    "Test/n#1/a#b.jpg",
    "Test/Äpfel/é 🍎.jpg",
    "Test/[x]{y}/q?x=1&y*.jpg",
]


@pytest.fixture
def bucket(spark: "SparkSession", s3_endpoint: str) -> "S3Store":
    import obstore

    create_bucket(s3_endpoint, BUCKET)
    store = store_for(BUCKET)
    for number, key in enumerate(KEYS):
        obstore.put(store, key, photo_files.jpeg(number))
    return store


def create_bucket(endpoint: str, name: str) -> None:
    """With Arrow's client, because boto3 is not in this environment. Making it again changes nothing."""
    from pyarrow import fs

    address = endpoint.removeprefix("http://")
    client = fs.S3FileSystem(
        endpoint_override=address, scheme="http", region="eu-west-1", allow_bucket_creation=True
    )
    client.create_dir(name)


def plan(store: "S3Store", keys: list[str]) -> list[tuple[str, str, str, int]]:
    import obstore

    metas = [(key, obstore.head(store, key)) for key in keys]
    return [
        (key, f"s3://{BUCKET}/{key}", (meta["e_tag"] or "").strip('"'), meta["size"]) for key, meta in metas
    ]


def on_s3(settings: FeaturizeSettings) -> FeaturizeSettings:
    run = f"s3://{BUCKET}/Results"
    return dataclasses.replace(
        settings,
        features=f"{run}/features/",
        rejected=f"{run}/rejected/",
        metrics=f"{run}/reports/featurize.json",
    )


def test_keys_of_every_kind_are_read_and_changed_ones_rejected(
    spark: "SparkSession", bucket: "S3Store", settings: FeaturizeSettings, tmp_path: Path
) -> None:
    import obstore

    for key in ("Test/x/changed.jpg", "Test/x/gone.jpg"):
        obstore.put(bucket, key, photo_files.jpeg(50))
    rows = plan(bucket, [*KEYS, "Test/x/changed.jpg", "Test/x/gone.jpg"])
    obstore.put(bucket, "Test/x/changed.jpg", photo_files.jpeg(51))
    obstore.delete(bucket, "Test/x/gone.jpg")
    local = write_work_list(tmp_path / "images.parquet", rows)
    obstore.put(bucket, "Results/work_list/images.parquet", Path(local))
    settings = dataclasses.replace(
        on_s3(settings), work_list=f"s3://{BUCKET}/Results/work_list/images.parquet"
    )

    metrics = featurize(spark, settings)

    assert (metrics["found"], metrics["processed"], metrics["rejected"]) == (len(KEYS) + 2, len(KEYS), 2)
    assert json.loads(hadoop.read_bytes(spark, settings.metrics)) == metrics
    written = spark.read.parquet(hadoop.hadoop_uri(spark, settings.features)).collect()
    reasons = {row["path"]: row["reason"] for row in written}
    assert set(reasons) == {uri for _, uri, _, _ in rows}
    assert {row["label"] for row in written} == {key.split("/")[-2] for key in KEYS} | {"x"}
    assert "ETag" in reasons[f"s3://{BUCKET}/Test/x/changed.jpg"]
    assert "gone" in reasons[f"s3://{BUCKET}/Test/x/gone.jpg"]
    assert sum(reason is not None for reason in reasons.values()) == 2


def test_a_prefix_is_listed_and_spark_s_reader_finds_the_same_keys(
    spark: "SparkSession", bucket: "S3Store", settings: FeaturizeSettings
) -> None:
    settings = dataclasses.replace(on_s3(settings), input=f"s3://{BUCKET}/Test/", reader="spark-image")
    metrics = featurize(spark, settings)
    written = (
        spark.read.parquet(hadoop.hadoop_uri(spark, settings.features)).where("reason is null").collect()
    )
    assert {f"s3://{BUCKET}/{key}" for key in KEYS} <= {row["path"] for row in written}
    assert metrics["rejected"] == 0


def test_a_key_with_control_characters_is_read(bucket: "S3Store", s3_endpoint: str) -> None:
    from pyarrow import fs

    key = "Test/x/tab\tin it.jpg"
    writer = fs.S3FileSystem(
        endpoint_override=s3_endpoint.removeprefix("http://"), scheme="http", region="eu-west-1"
    )
    with writer.open_output_stream(f"{BUCKET}/{key}") as stream:
        stream.write(b"content")
    assert fetch_image(WorkItem(key, f"s3://{BUCKET}/{key}", "", 7)) == b"content"
    writer.delete_file(f"{BUCKET}/{key}")


def test_a_store_that_cannot_be_reached_is_an_error_and_no_reason_to_reject(
    spark: "SparkSession", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_STORES", {})
    monkeypatch.setattr(fetch, "ATTEMPTS", 1)
    monkeypatch.setattr(s3, "MAX_RETRIES", 0)
    monkeypatch.setitem(os.environ, "AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StepError, match=r"Check that http://127.0.0.1:9 can be reached"):
        fetch_image(WorkItem("a.jpg", f"s3://{BUCKET}/a.jpg", "", 1))
