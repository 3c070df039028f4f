"""Images to MobileNetV2 features: the job behind ``spark/featurize.py``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from fruit_contract.model_files import ENGINE_PACKAGES, Engine
from fruit_contract.partitions import image_partitions
from fruit_contract.report_schema import FeaturizeMetrics
from fruit_spark.features.attempts import Plan, forget_attempt, not_done_yet, write_by_task
from fruit_spark.features.carried_rows import REJECTED_SCHEMA, write_finished
from fruit_spark.features.feature_batches import counting, featurize_work_list
from fruit_spark.features.spark_image_reader import featurize_with_spark_images
from fruit_spark.model.engines import FEATURE_DIM
from fruit_spark.model.model_broadcast import BroadcastModel, broadcast_model
from fruit_spark.model.model_source import ModelSource, read_model
from fruit_spark.photos.read_rate import reads_a_second
from fruit_spark.photos.work_reader import WorkList, listed_work, read_work_list
from fruit_spark.session.spark_session import seconds_since_launch, versions, work_done
from fruit_spark.step_errors import StepError
from fruit_spark.steps.progress_file import told
from fruit_spark.storage import hadoop
from fruit_spark.storage.driver_tables import open_table, some_files_at_a_time
from fruit_spark.storage.part_files import mark_complete, write_table

if TYPE_CHECKING:
    from pyspark.accumulators import Accumulator
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class FeaturizeSettings:
    """What ``spark/featurize.py`` was asked for; every address is a local path or a URI."""

    work_list: str | None
    input: str | None
    """Where to list images; used where there is no work list."""
    features: str
    rejected: str
    metrics: str
    model: str
    image_size: int
    batch_size: int
    engine: Engine
    precision: str
    reader: str
    partitions: int | None
    time_limit: int | None
    """Seconds after which the step ends itself; None for never."""
    allow_no_features: bool = False
    """Whether it is right that all images are rejected: others are known already."""
    progress: str | None = None
    """Where to say how far the step is, see :class:`fruit_contract.progress.Progress`; None for nowhere."""


def featurize(spark: "SparkSession", settings: FeaturizeSettings) -> FeaturizeMetrics:
    """Write features, rejected images and metrics; ``StepError`` when none of it can be used.

    Repeated, it keeps what an earlier attempt at the same work finished, and gives the same rows.
    """
    startup = seconds_since_launch(spark)
    source = read_model(spark, settings.model, settings.engine, settings.precision)
    model = broadcast_model(spark.sparkContext, source.content, settings.engine, settings.image_size)
    work = _work(spark, settings)
    plan = Plan(
        images=work.images,
        work_list=work.identity,
        model=model.fingerprint,
        engine=model.engine,
        image_size=model.image_size,
        reader=settings.reader,
    )
    missing = not_done_yet(spark, work.rows, settings.features, plan)
    left = plan.images if missing is work.rows else missing.count()
    done = spark.sparkContext.accumulator(plan.images - left)
    with told(settings.progress, lambda: done.value, plan.images):
        if left:
            tasks = settings.partitions or image_partitions(left, spark.sparkContext.defaultParallelism)
            _write_features(spark, settings, missing, model, tasks, done)
            done.value = plan.images  # Spark's own reader is counted only here
    metrics = _write_rejected_and_metrics(
        spark, settings, source, model, plan.images, plan.images - left, startup
    )
    if not metrics["processed"] and not settings.allow_no_features:
        raise StepError(
            f"All {plan.images} images were rejected: the reasons are in {settings.rejected}. Check that the "
            "input holds JPEG, PNG, BMP or WebP images."
        )
    return metrics


def _work(spark: "SparkSession", settings: FeaturizeSettings) -> WorkList:
    if settings.work_list is not None:
        return read_work_list(spark, settings.work_list)
    assert settings.input is not None
    return listed_work(spark, settings.input)


def _write_features(
    spark: "SparkSession",
    settings: FeaturizeSettings,
    images: "DataFrame",
    model: BroadcastModel,
    tasks: int,
    done: "Accumulator[int]",
) -> None:
    """``done`` counts the images of each finished task, but not with Spark's own reader."""
    if settings.reader == "spark-image":
        rows = featurize_with_spark_images(spark, images, model, settings.batch_size)
        rows.write.mode("append").parquet(hadoop.hadoop_uri(spark, settings.features))
        return
    # Round robin: every task gets the same number of images, whatever folders they lie in.
    context = spark.sparkContext
    rate = reads_a_second(context.getConf(), context.defaultParallelism)
    featurizing = counting(featurize_work_list(model, settings.batch_size, rate), done)
    write_by_task(images.repartition(tasks), featurizing, settings.features)


def _write_rejected_and_metrics(
    spark: "SparkSession",
    settings: FeaturizeSettings,
    source: ModelSource,
    model: BroadcastModel,
    found: int,
    reused: int,
    startup: float,
) -> FeaturizeMetrics:
    """Both from the features as they were written, so that they cannot disagree with them."""
    rows, reasons = write_rejected(spark, settings.features, settings.rejected)
    rejected = len(reasons)
    if rows != found:
        forget_attempt(spark, settings.features)
        raise StepError(
            f"{found} images were planned, but {rows} rows were written to {settings.features}: run again; "
            "it begins anew."
        )
    if settings.work_list is not None and rejected < found:
        write_finished(settings.work_list, reasons, settings.features)
    seconds = seconds_since_launch(spark)
    metrics: FeaturizeMetrics = {
        "found": found,
        "processed": found - rejected,
        "rejected": rejected,
        "reused": reused,
        "feature_dim": FEATURE_DIM,
        "model_loads": model.loads.value,
        **work_done(spark),
        "startup_seconds": round(startup, 3),
        "seconds": round(seconds, 3),
        "images_per_second": round((found - reused) / seconds, 3),
        "model": {
            "name": source.name,
            "weights": source.weights,
            "fingerprint": source.fingerprint,
            "image_size": settings.image_size,
            "engine": settings.engine,
            "precision": settings.precision,
        },
        "versions": versions(
            spark,
            *("numpy", "pyarrow", "opencv-python-headless", "pillow", "obstore"),
            # A machine may have another engine's package: it has had no part in the features.
            ENGINE_PACKAGES[settings.engine].replace("_", "-"),
        ),
    }
    hadoop.write_json(spark, settings.metrics, metrics)
    return metrics


def write_rejected(spark: "SparkSession", features: str, folder: str) -> tuple[int, dict[str, str]]:
    """Write the rejected images; how many rows the features have, and the reasons by path."""
    from pyarrow import dataset

    rows, batches = 0, list[pa.RecordBatch]()
    is_refused = dataset.field("reason").is_valid()
    for part in some_files_at_a_time(open_table(features)):
        rows += part.count_rows()
        batches += part.to_table(REJECTED_SCHEMA.names, filter=is_refused).to_batches()
    refused = pa.Table.from_batches(batches, REJECTED_SCHEMA)
    hadoop.delete(spark, folder)
    write_table(refused, folder)
    mark_complete(spark, folder)
    paths, reasons = (refused.column(name).to_pylist() for name in REJECTED_SCHEMA.names)
    return rows, dict(zip(paths, reasons, strict=True))
