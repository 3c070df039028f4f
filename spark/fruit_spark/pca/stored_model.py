"""A PCA model as it lies in its folder: Spark ML's, and the mean, which Spark ML has no place for."""

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_spark.pca.moments import Float64
from fruit_spark.storage import hadoop
from fruit_spark.storage.driver_tables import open_table

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import SparkSession

_MEAN_NAME: Final = "mean.json"


def write_pca(spark: "SparkSession", model: "PCAModel", mean: Float64, folder: str) -> None:
    """``mean`` (float64 [d]) is that of the vectors which the model was fitted on."""
    model.write().overwrite().save(hadoop.hadoop_uri(spark, folder))
    where = f"{folder.rstrip('/')}/{_MEAN_NAME}"
    hadoop.write_json(spark, where, {"mean": [float(value) for value in mean]})


def read_components(spark: "SparkSession", folder: str) -> tuple[Float64, Float64]:
    """The mean [d] and the matrix [d, k] alone, without Spark: its reader takes three seconds for them."""
    where = folder.rstrip("/")
    return _read_mean(spark, where), read_matrix(where)


def read_matrix(folder: str) -> Float64:
    """The matrix [d, k] alone, without any JVM; ``FileNotFoundError`` where no model is."""
    where = folder.rstrip("/")
    (row,) = open_table(f"{where}/data").to_table(["pc"]).column("pc").to_pylist()
    shape = row["numRows"], row["numCols"]
    values = np.array(row["values"], np.float64)
    matrix = values.reshape(shape) if row["isTransposed"] else values.reshape(shape, order="F")
    return np.ascontiguousarray(matrix)


def read_pca(spark: "SparkSession", folder: str) -> tuple["PCAModel", Float64]:
    """The model and the mean."""
    from pyspark.ml.feature import PCAModel

    where = folder.rstrip("/")
    model = PCAModel.load(hadoop.hadoop_uri(spark, where))
    return model, _read_mean(spark, where)


def _read_mean(spark: "SparkSession", where: str) -> Float64:
    return np.array(json.loads(hadoop.read_bytes(spark, f"{where}/{_MEAN_NAME}"))["mean"], np.float64)
