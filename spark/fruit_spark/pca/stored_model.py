"""A PCA model as it lies in its folder: Spark ML's, and the mean, which Spark ML has no place for."""

import json
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_spark.pca.moments import Float64
from fruit_spark.storage import hadoop

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import SparkSession

_MEAN_NAME: Final = "mean.json"


def write_pca(spark: "SparkSession", model: "PCAModel", mean: Float64, folder: str) -> None:
    """``mean`` (float64 [d]) is that of the vectors which the model was fitted on."""
    model.write().overwrite().save(hadoop.hadoop_uri(spark, folder))
    where = f"{folder.rstrip('/')}/{_MEAN_NAME}"
    hadoop.write_json(spark, where, {"mean": [float(value) for value in mean]})


def read_pca(spark: "SparkSession", folder: str) -> tuple["PCAModel", Float64]:
    """The model and the mean."""
    from pyspark.ml.feature import PCAModel

    where = folder.rstrip("/")
    model = PCAModel.load(hadoop.hadoop_uri(spark, where))
    return model, np.array(json.loads(hadoop.read_bytes(spark, f"{where}/{_MEAN_NAME}"))["mean"])
