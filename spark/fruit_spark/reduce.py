"""Features to principal components: the job behind ``spark/reduce.py``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fruit_contract.report import ReduceMetrics
from fruit_spark import storage
from fruit_spark.engines import FEATURE_DIM
from fruit_spark.errors import StepError
from fruit_spark.feature_batches import FEATURES_DDL
from fruit_spark.partitions import output_partitions
from fruit_spark.pca import components_for, explained_variance_ratio, fit_pca
from fruit_spark.session import seconds_since_launch, versions
from fruit_spark.variance_plot import draw_variance
from fruit_spark.without_pandas import array_to_vector, vector_to_array

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import DataFrame, SparkSession

SOLVERS: Final = ("spark",)


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


def reduce(spark: "SparkSession", settings: ReduceSettings) -> ReduceMetrics:
    """Write components, model, metrics and plot; ``StepError`` when the variance kept is too small.

    Metrics and plot are written before that error, so that there is something to look at.
    """
    vectors = _vectors(spark, settings.features).persist()
    rows = vectors.count()
    check_components(rows, settings.components)
    model = fit_pca(vectors, settings.components)
    ratio = explained_variance_ratio(model)
    _write_metrics_and_plot(spark, settings, rows, ratio)
    if ratio.sum() < settings.min_variance:
        raise StepError(_too_little_variance(vectors, rows, settings, float(ratio.sum())))
    model.write().overwrite().save(storage.hadoop_uri(spark, settings.model_output))
    cores = spark.sparkContext.defaultParallelism
    components = transform(model, vectors).coalesce(output_partitions(rows, cores))
    components.write.mode("overwrite").parquet(storage.hadoop_uri(spark, settings.output))
    # Written again: now the seconds are those of the whole step.
    return _write_metrics(spark, settings, rows, ratio)


def _vectors(spark: "SparkSession", features: str) -> "DataFrame":
    """path, label and the features as an ML vector, without the rejected images."""
    if not storage.exists(spark, features):
        raise StepError(f"There are no features at {features}: run the featurize step first.")
    # With the schema at hand, Spark need not open a file to find it.
    written = spark.read.schema(FEATURES_DDL).parquet(storage.hadoop_uri(spark, features))
    processed = written.where("features is not null")
    return processed.select("path", "label", array_to_vector(processed, "features").alias("vector"))


def transform(model: "PCAModel", vectors: "DataFrame") -> "DataFrame":
    """path, label, features (k float32). As Spark ML does it: multiplied by the components, not centred."""
    reduced = model.transform(vectors)
    return reduced.select("path", "label", vector_to_array(reduced, model.getOutputCol()).alias("features"))


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
    if components > rows:
        raise StepError(
            f"{components} components need at least as many images, and {rows} were featurized: "
            f"set components to {rows - 1} or less, or give more images."
        )


def _too_little_variance(vectors: "DataFrame", rows: int, settings: ReduceSettings, kept: float) -> str:
    """The sentence for a variance below the minimum, with the k that would do.

    Fitted once more with every component there can be: only on this failure, and as long as the first fit.
    """
    most = min(rows - 1, FEATURE_DIM)
    said = (
        f"{settings.components} components keep {kept:.4f} of the variance, "
        f"less than the minimum {settings.min_variance:g}: "
    )
    enough = None
    if most > settings.components:
        enough = components_for(explained_variance_ratio(fit_pca(vectors, most)), settings.min_variance)
    if enough is None:
        return (
            f"{said}no number of components up to {most} would do (the most that {rows} images allow): "
            "lower the minimum variance, or give more images."
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
