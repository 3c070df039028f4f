"""Images to MobileNetV2 features: the job behind ``spark/featurize.py``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_contract.report import FeaturizeMetrics
from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_spark import storage
from fruit_spark.engines import FEATURE_DIM
from fruit_spark.errors import StepError
from fruit_spark.feature_batches import FEATURES_DDL, featurize_work_list
from fruit_spark.listing import list_images
from fruit_spark.model_broadcast import BroadcastModel, broadcast_model
from fruit_spark.model_source import ModelSource, read_model
from fruit_spark.partitions import image_partitions
from fruit_spark.session import seconds_since_launch, versions
from fruit_spark.spark_image_reader import featurize_with_spark_images
from fruit_spark.without_pandas import map_in_arrow

if TYPE_CHECKING:
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
    engine: str
    reader: str
    partitions: int | None
    time_limit: int | None
    """Seconds after which the step ends itself; None for never."""


def featurize(spark: "SparkSession", settings: FeaturizeSettings) -> FeaturizeMetrics:
    """Write features, rejected images and metrics; ``StepError`` when none of it can be used.

    Repeated, it overwrites its own output with the same rows.
    """
    source = read_model(spark, settings.model, settings.engine)
    model = broadcast_model(spark.sparkContext, source.content, settings.engine, settings.image_size)
    images = _images(spark, settings)
    found = images.count()
    if not found:
        raise StepError(f"The work list {settings.work_list} has no images: nothing to featurize.")
    tasks = settings.partitions or image_partitions(found, spark.sparkContext.defaultParallelism)
    rows = _feature_rows(spark, settings, images, model, tasks)
    rows.write.mode("overwrite").parquet(storage.hadoop_uri(spark, settings.features))
    metrics = _write_rejected_and_metrics(spark, settings, source, model, found)
    if not metrics["processed"]:
        raise StepError(
            f"All {found} images were rejected: the reasons are in {settings.rejected}. Check that the input "
            "holds JPEG, PNG, BMP or WebP images."
        )
    return metrics


def _images(spark: "SparkSession", settings: FeaturizeSettings) -> "DataFrame":
    if settings.work_list is None:
        assert settings.input is not None
        return list_images(spark, settings.input)
    if not storage.exists(spark, settings.work_list):
        raise StepError(
            f"There is no work list at {settings.work_list}: check the address, or list with --input."
        )
    images = spark.read.parquet(storage.hadoop_uri(spark, settings.work_list))
    wanted = [name for name, _ in WORK_LIST_COLUMNS]
    missing = [name for name in wanted if name not in images.columns]
    if missing:
        raise StepError(
            f"The work list {settings.work_list} has no column {', '.join(missing)}: it needs {wanted}."
        )
    return images.select(*wanted)


def _feature_rows(
    spark: "SparkSession", settings: FeaturizeSettings, images: "DataFrame", model: BroadcastModel, tasks: int
) -> "DataFrame":
    if settings.reader == "spark-image":
        return featurize_with_spark_images(spark, images, model, settings.batch_size)
    # Round robin: every task gets the same number of images, whatever folders they lie in.
    return map_in_arrow(
        images.repartition(tasks), featurize_work_list(model, settings.batch_size), FEATURES_DDL
    )


def _write_rejected_and_metrics(
    spark: "SparkSession", settings: FeaturizeSettings, source: ModelSource, model: BroadcastModel, found: int
) -> FeaturizeMetrics:
    """Both from the features as they were written, so that they cannot disagree with them."""
    written = spark.read.schema(FEATURES_DDL).parquet(storage.hadoop_uri(spark, settings.features))
    refused = written.where("reason is not null").select("path", "reason").coalesce(1)
    refused.write.mode("overwrite").parquet(storage.hadoop_uri(spark, settings.rejected))
    rejected = (
        spark.read.schema("path string, reason string")
        .parquet(storage.hadoop_uri(spark, settings.rejected))
        .count()
    )
    rows = written.count()
    if rows != found:
        raise StepError(
            f"{found} images were planned, but {rows} rows were written to {settings.features}: run again."
        )
    seconds = seconds_since_launch(spark)
    metrics: FeaturizeMetrics = {
        "found": found,
        "processed": found - rejected,
        "rejected": rejected,
        "feature_dim": FEATURE_DIM,
        "model_loads": model.loads.value,
        "cores": spark.sparkContext.defaultParallelism,
        "seconds": round(seconds, 3),
        "images_per_second": round(found / seconds, 3),
        "model": {
            "name": source.name,
            "weights": source.weights,
            "fingerprint": source.fingerprint,
            "image_size": settings.image_size,
            "engine": settings.engine,
        },
        "versions": versions(
            spark, "numpy", "pyarrow", "ai-edge-litert", "opencv-python-headless", "obstore", "tensorflow"
        ),
    }
    storage.write_json(spark, settings.metrics, metrics)
    return metrics
