"""Images to MobileNetV2 features: the job behind ``spark/featurize.py``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fruit_contract.partitions import image_partitions
from fruit_contract.report import FeaturizeMetrics
from fruit_spark import storage
from fruit_spark.attempts import Plan, forget_attempt, not_done_yet, write_by_task
from fruit_spark.engines import FEATURE_DIM
from fruit_spark.errors import StepError
from fruit_spark.feature_batches import FEATURES_DDL, featurize_work_list
from fruit_spark.listing import WORK_LIST_DDL, list_images
from fruit_spark.model_broadcast import BroadcastModel, broadcast_model
from fruit_spark.model_source import ModelSource, read_model
from fruit_spark.session import seconds_since_launch, versions
from fruit_spark.spark_image_reader import featurize_with_spark_images

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
    precision: str
    reader: str
    partitions: int | None
    time_limit: int | None
    """Seconds after which the step ends itself; None for never."""


def featurize(spark: "SparkSession", settings: FeaturizeSettings) -> FeaturizeMetrics:
    """Write features, rejected images and metrics; ``StepError`` when none of it can be used.

    Repeated, it keeps what an earlier attempt at the same work finished, and gives the same rows.
    """
    source = read_model(spark, settings.model, settings.engine, settings.precision)
    model = broadcast_model(spark.sparkContext, source.content, settings.engine, settings.image_size)
    images = _images(spark, settings)
    plan = _plan(images, settings, model)
    missing = not_done_yet(spark, images, settings.features, plan)
    left = plan.images if missing is images else missing.count()
    if left:
        tasks = settings.partitions or image_partitions(left, spark.sparkContext.defaultParallelism)
        _write_features(spark, settings, missing, model, tasks)
    metrics = _write_rejected_and_metrics(spark, settings, source, model, plan.images, plan.images - left)
    if not metrics["processed"]:
        raise StepError(
            f"All {plan.images} images were rejected: the reasons are in {settings.rejected}. Check that the "
            "input holds JPEG, PNG, BMP or WebP images."
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
    # With the schema at hand, Spark runs no job to find it; a column that is not there reads as null.
    return spark.read.schema(WORK_LIST_DDL).parquet(storage.hadoop_uri(spark, settings.work_list))


def _plan(images: "DataFrame", settings: FeaturizeSettings, model: BroadcastModel) -> Plan:
    """Count and identify the work in one pass over the work list; ``StepError`` for one that is no use."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

    wanted = images.columns
    # A sum does not depend on the order; decimal(38) holds it for any number of images.
    digest = F.sum(F.xxhash64("uri", "etag", "size").cast("decimal(38,0)"))
    found, identity, *filled = images.agg(F.count("*"), digest, *map(F.count, wanted)).collect()[0]
    if not found:
        raise StepError(f"The work list {settings.work_list} has no images: nothing to featurize.")
    missing = [name for name, count in zip(wanted, filled, strict=True) if count < found]
    if missing:
        raise StepError(
            f"The work list {settings.work_list} has no {', '.join(missing)} in some or all of its rows: it "
            f"needs {', '.join(wanted)} in each."
        )
    return Plan(
        images=found,
        work_list=str(identity),
        model=model.fingerprint,
        engine=model.engine,
        image_size=model.image_size,
        reader=settings.reader,
    )


def _write_features(
    spark: "SparkSession", settings: FeaturizeSettings, images: "DataFrame", model: BroadcastModel, tasks: int
) -> None:
    if settings.reader == "spark-image":
        rows = featurize_with_spark_images(spark, images, model, settings.batch_size)
        rows.write.mode("append").parquet(storage.hadoop_uri(spark, settings.features))
        return
    # Round robin: every task gets the same number of images, whatever folders they lie in.
    featurizing = featurize_work_list(model, settings.batch_size)
    write_by_task(images.repartition(tasks), featurizing, settings.features)


def _write_rejected_and_metrics(
    spark: "SparkSession",
    settings: FeaturizeSettings,
    source: ModelSource,
    model: BroadcastModel,
    found: int,
    reused: int,
) -> FeaturizeMetrics:
    """Both from the features as they were written, so that they cannot disagree with them."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

    written = spark.read.schema(FEATURES_DDL).parquet(storage.hadoop_uri(spark, settings.features))
    refused = written.where("reason is not null").select("path", "reason").coalesce(1)
    refused.write.mode("overwrite").parquet(storage.hadoop_uri(spark, settings.rejected))
    rows, rejected = written.agg(F.count("*"), F.count("reason")).collect()[0]
    if rows != found:
        forget_attempt(spark, settings.features)
        raise StepError(
            f"{found} images were planned, but {rows} rows were written to {settings.features}: run again; "
            "it begins anew."
        )
    seconds = seconds_since_launch(spark)
    metrics: FeaturizeMetrics = {
        "found": found,
        "processed": found - rejected,
        "rejected": rejected,
        "reused": reused,
        "feature_dim": FEATURE_DIM,
        "model_loads": model.loads.value,
        "cores": spark.sparkContext.defaultParallelism,
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
            spark, "numpy", "pyarrow", "ai-edge-litert", "opencv-python-headless", "obstore", "tensorflow"
        ),
    }
    storage.write_json(spark, settings.metrics, metrics)
    return metrics
