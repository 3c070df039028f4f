"""Features to principal components: the job behind ``spark/reduce.py``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fruit_contract.partitions import output_partitions
from fruit_contract.report import ReduceMetrics
from fruit_contract.variance import most_components, reaches
from fruit_spark import storage
from fruit_spark.engines import FEATURE_DIM
from fruit_spark.errors import StepError
from fruit_spark.feature_batches import FEATURES_DDL
from fruit_spark.feature_files import FEATURES
from fruit_spark.moments import Moments, moments_of
from fruit_spark.pca import (
    SOLVERS,
    components_for,
    explained_variance_ratio,
    principal_components,
    write_projection,
)
from fruit_spark.session import seconds_since_launch, versions
from fruit_spark.variance_plot import draw_variance

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class ReduceSettings:
    """What ``spark/reduce.py`` was asked for; every address is a local path or a URI."""

    features: str
    output: str
    model_output: str
    metrics: str
    plot: str
    components: int
    min_variance: float
    solver: str
    time_limit: int | None
    """Seconds after which the step ends itself; None for never."""


def reduce(spark: "SparkSession", settings: ReduceSettings) -> ReduceMetrics:
    """Write components, model, metrics and plot; ``StepError`` when the variance kept is too small.

    Metrics and plot are written before that error, so that there is something to look at.
    """
    features = _features(spark, settings.features)
    moments = moments_of(spark, settings.features)
    rows = moments.rows if moments else 0
    check_components(rows, settings.components)
    assert moments is not None  # without a row, the check above has raised
    model = SOLVERS[settings.solver](features, moments, settings.components)
    ratio = explained_variance_ratio(model)
    _write_metrics_and_plot(spark, settings, rows, ratio)
    if not reaches(float(ratio.sum()), settings.min_variance):
        raise StepError(_too_little_variance(moments, settings, float(ratio.sum())))
    model.write().overwrite().save(storage.hadoop_uri(spark, settings.model_output))
    cores = spark.sparkContext.defaultParallelism
    write_projection(spark, settings.features, model, settings.output, output_partitions(rows, cores))
    # Written again: now the seconds are those of the whole step.
    return _write_metrics(spark, settings, rows, ratio)


def _features(spark: "SparkSession", features: str) -> "DataFrame":
    """path, label and features, without the rejected images."""
    if not storage.exists(spark, features):
        raise StepError(f"There are no features at {features}: run the featurize step first.")
    # With the schema at hand, Spark need not open a file to find it.
    written = spark.read.schema(FEATURES_DDL).parquet(storage.hadoop_uri(spark, features))
    return written.where("features is not null").select("path", "label", FEATURES)


def check_components(rows: int, components: int) -> None:
    """``StepError`` unless ``rows`` feature vectors can give ``components`` principal components."""
    if rows == 0:
        raise StepError(
            "There is no feature vector: every image was rejected. See the reasons in the rejected images."
        )
    if rows == 1:
        raise StepError("There is 1 feature vector, and variance needs at least 2: give more images.")
    if components > FEATURE_DIM:
        raise StepError(
            f"{components} components were asked of {FEATURE_DIM}-dimensional features: "
            f"set components to {FEATURE_DIM} or less."
        )
    if components > most_components(rows):
        raise StepError(
            f"{components} components need more images than that, and {rows} were featurized: "
            f"set components to {most_components(rows)} or less, or give more images."
        )


def _too_little_variance(moments: Moments, settings: ReduceSettings, kept: float) -> str:
    """The sentence for a variance below the minimum, with the k that would do."""
    most = min(most_components(moments.rows), FEATURE_DIM)
    said = (
        f"{settings.components} components keep {kept:.4f} of the variance, "
        f"less than the minimum {settings.min_variance:g}: "
    )
    enough = components_for(principal_components(moments).ratio[:most], settings.min_variance)
    if enough is None:
        return (
            f"{said}no number of components up to {most} would do (the most that {moments.rows} images "
            "allow): lower the minimum variance, or give more images."
        )
    return f"{said}{enough} components would do. Set components to {enough}, or lower the minimum variance."


def _write_metrics_and_plot(spark: "SparkSession", settings: ReduceSettings, rows: int, ratio: Any) -> None:
    _write_metrics(spark, settings, rows, ratio)
    storage.write_bytes(spark, settings.plot, draw_variance(ratio, settings.min_variance))


def _write_metrics(spark: "SparkSession", settings: ReduceSettings, rows: int, ratio: Any) -> ReduceMetrics:
    metrics: ReduceMetrics = {
        "rows": rows,
        "feature_dim": FEATURE_DIM,
        "components": settings.components,
        "explained_variance": float(np.sum(ratio)),
        "explained_variance_ratio": [float(value) for value in ratio],
        "components_for_minimum": components_for(ratio, settings.min_variance),
        "solver": settings.solver,
        "seconds": round(seconds_since_launch(spark), 3),
        "versions": versions(spark, "numpy", "pyarrow", "matplotlib"),
    }
    storage.write_json(spark, settings.metrics, metrics)
    return metrics
