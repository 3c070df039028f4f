"""A PCA model as it lies in its folder: Spark ML's, and the mean, which Spark ML has no place for.

Where features are scaled, the folder is a ``PipelineModel`` of a ``StandardScalerModel`` and a ``PCAModel``.
``data/`` then has both in one matrix, stored as that of a ``PCAModel``. So features times the matrix in
``data/`` are components in either case.
"""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np

from fruit_spark.pca.moments import Float64, Moments
from fruit_spark.pca.solvers import SCALED, VECTOR, explained_share
from fruit_spark.storage import hadoop
from fruit_spark.storage.driver_tables import open_table

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel, StandardScalerModel
    from pyspark.sql import SparkSession

_MEAN_NAME: Final = "mean.json"


@dataclass(frozen=True)
class StoredPca:
    """A model with what belongs to it."""

    model: "PCAModel"
    mean: Float64
    """Of the vectors that it was fitted on, before they were scaled, float64 [d]."""
    spread: Float64 | None
    """What each feature is divided by before ``model``, float64 [d]; None for nothing."""

    @property
    def matrix(self) -> Float64:
        """Features times it are components, float64 [d, k]."""
        return undivided(self.model.pc.toArray(), self.spread)

    def explains(self, moments: Moments) -> float | None:
        """The share of the variance of other features, around ``mean``, that it explains, 0 to 1."""
        mean = self.mean if self.spread is None else self.mean / self.spread
        return explained_share(self.model, mean, moments.divided(self.spread))


def undivided(directions: Float64, spread: Float64 | None) -> Float64:
    """The matrix [d, k] for features that are not divided by ``spread`` [d] yet."""
    return np.ascontiguousarray(directions if spread is None else directions / spread[:, None])


def scaler_of(spark: "SparkSession", spread: Float64) -> "StandardScalerModel":
    """Divides vectors by ``spread``, float64 [d]; it moves no mean, as the PCA's transform moves none."""
    from pyspark.ml.common import _py2java
    from pyspark.ml.feature import StandardScalerModel
    from pyspark.ml.linalg import DenseVector

    context = spark.sparkContext
    java_model = hadoop.jvm(spark).org.apache.spark.ml.feature.StandardScalerModel(
        f"scaler_{uuid4().hex[:12]}",
        _py2java(context, DenseVector(spread)),
        _py2java(context, DenseVector(np.zeros(len(spread)))),
    )
    model: StandardScalerModel = StandardScalerModel._from_java(java_model)
    return model._set(withMean=False, withStd=True).setInputCol(VECTOR).setOutputCol(SCALED)


def write_pca(spark: "SparkSession", stored: StoredPca, folder: str) -> None:
    """Over what lies there."""
    where = folder.rstrip("/")
    address = hadoop.hadoop_uri(spark, where)
    if stored.spread is None:
        stored.model.write().overwrite().save(address)
    else:
        _write_scaled(spark, stored, stored.spread, address)
    told = {"mean": stored.mean.tolist()}
    spread = {} if stored.spread is None else {"spread": stored.spread.tolist()}
    hadoop.write_json(spark, f"{where}/{_MEAN_NAME}", told | spread)


def _write_scaled(spark: "SparkSession", stored: StoredPca, spread: Float64, address: str) -> None:
    from pyspark.ml import PipelineModel
    from pyspark.ml.linalg import DenseMatrix, Vectors

    PipelineModel([scaler_of(spark, spread), stored.model]).write().overwrite().save(address)
    matrix = stored.matrix
    both = DenseMatrix(len(matrix), matrix.shape[1], matrix.ravel(order="F"))
    explained = Vectors.dense(stored.model.explainedVariance.toArray())
    row = spark.createDataFrame([(both, explained)], ["pc", "explainedVariance"])
    row.coalesce(1).write.parquet(f"{address}/data")


def read_components(spark: "SparkSession", folder: str) -> tuple[Float64, Float64, Float64 | None]:
    """Mean [d], matrix [d, k], and spread [d] or None. Spark's own reader takes three seconds for them."""
    where = folder.rstrip("/")
    told = _read_told(spark, where)
    return told["mean"], read_matrix(where), told.get("spread")


def read_matrix(folder: str) -> Float64:
    """The matrix [d, k] alone, without any JVM; ``FileNotFoundError`` where no model is."""
    where = folder.rstrip("/")
    (row,) = open_table(f"{where}/data").to_table(["pc"]).column("pc").to_pylist()
    shape = row["numRows"], row["numCols"]
    values = np.array(row["values"], np.float64)
    matrix = values.reshape(shape) if row["isTransposed"] else values.reshape(shape, order="F")
    return np.ascontiguousarray(matrix)


def read_pca(spark: "SparkSession", folder: str) -> StoredPca:
    """The whole of it."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import PCAModel

    where = folder.rstrip("/")
    address, told = hadoop.hadoop_uri(spark, where), _read_told(spark, where)
    scaled = "spread" in told
    model: Any = PipelineModel.load(address).stages[-1] if scaled else PCAModel.load(address)
    return StoredPca(model, told["mean"], told.get("spread"))


def _read_told(spark: "SparkSession", where: str) -> dict[str, Float64]:
    told = json.loads(hadoop.read_bytes(spark, f"{where}/{_MEAN_NAME}"))
    return {name: np.array(values, np.float64) for name, values in told.items()}
