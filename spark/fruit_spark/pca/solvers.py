"""Principal components by two solvers, and what they explain.

``blocks`` computes the covariance in blocks on the executors and decomposes it on the driver;
``spark`` is ``pyspark.ml.feature.PCA``. Both give a ``PCAModel`` of Spark ML.

Spark's convention, kept throughout: the fit subtracts the mean, the transform does not. So the
components of a photo are its features times the matrix ``pc``, and their mean is not zero.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from uuid import uuid4

import numpy as np

from fruit_spark.features.feature_files import FEATURES, FeatureFiles, as_block, map_features
from fruit_spark.pca.moments import Float64, Moments
from fruit_spark.pca.overview import RowSummary, Summary
from fruit_spark.session.without_pandas import array_to_vector
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop
from fruit_spark.storage.hadoop import jvm
from fruit_spark.storage.part_files import ROWS_DDL, Batches, mark_complete, write_parts

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel, StandardScalerModel
    from pyspark.sql import DataFrame, SparkSession

NO_VARIANCE: Final = (
    "The features have no variance: every image gives the same feature vector. Give different images."
)


@dataclass(frozen=True)
class Components:
    """Orthonormal directions of falling variance: float64 [d, d] by columns, and the share of each, [d]."""

    directions: Float64
    ratio: Float64


def principal_components(moments: Moments) -> Components:
    """All principal components of what ``moments`` describes; ``StepError`` where nothing varies.

    The sign of a direction is free: its entry of largest magnitude is made positive, so that equal
    data give equal components.
    """
    values, directions = np.linalg.eigh(moments.scatter)
    # eigh sorts upwards; what is negative is rounding in a matrix that has no negative eigenvalue.
    values, directions = np.clip(values[::-1], 0, None), directions[:, ::-1]
    total = values.sum()
    if not total > 0:
        raise StepError(NO_VARIANCE)
    strongest = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    return Components(directions * np.where(strongest < 0, -1.0, 1.0), values / total)


def fit_blocks(
    features: "DataFrame", moments: Moments, components: int, scaler: "StandardScalerModel | None" = None
) -> "PCAModel":
    """``components`` principal components by blocks, as a Spark ML model.

    With a ``scaler``, ``moments`` are those of what it gives.
    """
    from pyspark.ml.common import _py2java
    from pyspark.ml.feature import PCAModel
    from pyspark.ml.linalg import DenseMatrix, DenseVector

    found = principal_components(moments)
    kept = found.directions[:, :components]
    context = features.sparkSession.sparkContext
    java_model = jvm(features.sparkSession).org.apache.spark.ml.feature.PCAModel(
        f"pca_{uuid4().hex[:12]}",
        _py2java(context, DenseMatrix(len(kept), components, kept.ravel(order="F"))),
        _py2java(context, DenseVector(found.ratio[:components])),
    )
    model: PCAModel = PCAModel._from_java(java_model)
    return model._set(k=components).setInputCol(SCALED if scaler else VECTOR).setOutputCol(_OUTPUT)


def fit_spark(
    features: "DataFrame", moments: Moments, components: int, scaler: "StandardScalerModel | None" = None
) -> "PCAModel":
    """``components`` principal components by ``pyspark.ml.feature.PCA``, to compare with."""
    from pyspark.ml.feature import PCA

    if not np.trace(moments.scatter) > 0:
        raise StepError(NO_VARIANCE)
    vectors = features.select(array_to_vector(features, FEATURES).alias(VECTOR))
    if scaler is None:
        return PCA(k=components, inputCol=VECTOR, outputCol=_OUTPUT).fit(vectors)
    return PCA(k=components, inputCol=SCALED, outputCol=_OUTPUT).fit(scaler.transform(vectors))


VECTOR: Final = "vector"
SCALED: Final = "scaled"
_OUTPUT: Final = "components"
Solver = Callable[["DataFrame", Moments, int, "StandardScalerModel | None"], "PCAModel"]
SOLVERS: Final[dict[str, Solver]] = {"blocks": fit_blocks, "spark": fit_spark}


def explained_share(model: "PCAModel", mean: Float64, moments: Moments) -> float | None:
    """The share of the variance of some vectors, around ``mean``, that a model explains, 0 to 1.

    ``mean`` (float64 [d]) is that of the vectors which the model was fitted on. None where nothing varies.
    """
    apart = moments.mean - mean
    scatter = moments.scatter + moments.rows * np.outer(apart, apart)
    directions, total = model.pc.toArray(), np.trace(scatter)
    return (
        float(np.einsum("dk,de,ek->", directions, scatter, directions, optimize=True) / total)
        if total > 0
        else None
    )


def explained_variance_ratio(model: "PCAModel") -> Float64:
    """The share of the whole variance by component, float64 [k], largest first; 0 to 1 each."""
    return np.asarray(model.explainedVariance.toArray(), np.float64)


def write_projection(
    spark: "SparkSession", features: FeatureFiles, matrix: Float64, output: str, files: int, rows: int
) -> list[Summary]:
    """path, label, features (k float32) of the rows that count, into ``files`` files of ``output``.

    The vectors times ``matrix``, float64 [d, k], as the model's transform does it. ``rows`` is their number.
    Returns each task's :class:`~fruit_spark.pca.overview.Summary`.
    """
    # Multiplied in float64, as Spark ML does it: in float32 the sum of 1,280 products is off by 2e-6.
    shared = spark.sparkContext.broadcast(np.ascontiguousarray(matrix))
    summary = RowSummary(rows)

    def multiply(batches: Batches) -> Batches:
        import pyarrow as pa

        for batch in batches:
            if not batch.num_rows:
                continue
            projected = (as_block(batch.column(FEATURES)) @ shared.value).astype(np.float32)
            if not np.isfinite(projected).all():
                raise StepError("The components of a photo are not finite: its features are damaged.")
            offsets = np.arange(0, projected.size + 1, projected.shape[1], dtype=np.int32)
            summary.add(batch.column("path").to_pylist(), batch.column("label").to_pylist(), projected)
            column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(projected.reshape(-1)))
            yield pa.RecordBatch.from_arrays(
                [batch.column("path"), batch.column("label"), column], names=["path", "label", FEATURES]
            )

    hadoop.delete(spark, output)
    writing = write_parts(multiply, output, ("label",), summary.as_bytes)
    written = map_features(spark, features, ["path", "label", FEATURES], files, writing, ROWS_DDL).collect()
    mark_complete(spark, output)
    return [Summary.of(row["summary"]) for row in written]
