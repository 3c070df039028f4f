"""The classifier as Spark ML keeps it: PCA, scaling, classifier and label, in one ``PipelineModel``.

It takes a vector column ``features`` of length 1,280 and gives ``probability``, ``prediction`` and ``label``.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import numpy as np
import numpy.typing as npt

from fruit_spark.classifier.layers import Float64, Layers
from fruit_spark.storage.hadoop import jvm

if TYPE_CHECKING:
    from pyspark.ml import PipelineModel
    from pyspark.sql import DataFrame, SparkSession

SCALED: Final = "scaled"
TARGET: Final = "target"
_TREES: Final = 100
_DEPTH: Final = 10
_CUTS: Final = 8
_FEWEST_IN_NODE: Final = 4
"""Spark holds a histogram of 16 components, 8 bins and all labels for each node that it splits. Finer trees
take many times as long, and know the films that they have not seen less well."""
_HIDDEN: Final = 128
_ITERATIONS: Final = 50
_SEED: Final = 1
Dense = tuple[tuple[Float64, Float64], ...]


def fit_forest(rows: "DataFrame", labels: int) -> Any:
    """``RandomForestClassifier`` on the column ``scaled``, with targets 0 to ``labels`` - 1."""
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

    # Unless it is told how many there are, Spark counts the labels, and refuses more than 100.
    known = F.col(TARGET).alias(TARGET, metadata={"ml_attr": {"type": "nominal", "num_vals": labels}})
    forest = RandomForestClassifier(
        featuresCol=SCALED,
        labelCol=TARGET,
        numTrees=_TREES,
        maxDepth=_DEPTH,
        maxBins=_CUTS,
        minInstancesPerNode=_FEWEST_IN_NODE,
        seed=_SEED,
    )
    return forest.fit(rows.select(SCALED, known))


def fit_network(rows: "DataFrame", labels: int) -> Any:
    """``MultilayerPerceptronClassifier`` with one hidden layer, on the column ``scaled``."""
    from pyspark.ml.classification import MultilayerPerceptronClassifier

    width = len(rows.head(1)[0][SCALED])
    network = MultilayerPerceptronClassifier(
        featuresCol=SCALED,
        labelCol=TARGET,
        layers=[width, min(_HIDDEN, 2 * width), labels],
        maxIter=_ITERATIONS,
        seed=_SEED,
    )
    return network.fit(rows)


def linear_model(spark: "SparkSession", weights: Float64, bias: Float64) -> Any:
    """The layer of weights [k, C] and bias [C] as a multinomial ``LogisticRegressionModel``.

    Two labels have two outputs here, as any other number of them: Spark takes their difference.
    """
    from pyspark.ml.classification import LogisticRegressionModel
    from pyspark.ml.common import _py2java
    from pyspark.ml.linalg import DenseMatrix, DenseVector

    context = spark.sparkContext
    java_model = jvm(spark).org.apache.spark.ml.classification.LogisticRegressionModel(
        f"linear_{uuid4().hex[:12]}",
        _py2java(context, DenseMatrix(weights.shape[1], len(weights), weights.T.ravel(order="F"))),
        _py2java(context, DenseVector(bias)),
        len(bias),
        True,
    )
    model: Any = LogisticRegressionModel._from_java(java_model)
    return model.setFeaturesCol(SCALED)


def pipeline(
    spark: "SparkSession", layers: Layers, classifier: Any, labels: Sequence[str]
) -> "PipelineModel":
    """The whole way from features to a label's name; the PCA and the scaling are those of ``layers``."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.feature import IndexToString

    name = IndexToString(inputCol="prediction", outputCol="label", labels=list(labels))
    return PipelineModel([_pca(spark, layers), _scaler(spark, layers), classifier, name])


def network_layers(model: Any) -> Dense:
    """The dense layers of a fitted network, from Spark's one vector of weights.

    Layer by layer it holds the weights [outputs, inputs] by columns, then the bias (Spark's ``AffineLayer``).
    """
    sizes, values = list(model.getLayers()), model.weights.toArray()
    dense, start = [], 0
    for inputs, outputs in pairwise(sizes):
        end = start + inputs * outputs
        dense.append((values[start:end].reshape(inputs, outputs), values[end : end + outputs]))
        start = end + outputs
    return tuple(dense)


def log_probabilities(spark: "SparkSession", model: Any, scaled: Float64) -> Float64:
    """What a fitted classifier says of rows [n, k] of ``scaled``, [n, C]; a 0 counts as one in a million."""
    from pyspark.ml.linalg import Vectors

    rows = [(number, Vectors.dense(row)) for number, row in enumerate(scaled)]
    frame = spark.createDataFrame(rows, ["number", SCALED])
    said = model.transform(frame).select("number", "probability").collect()
    shares: npt.NDArray[np.float64] = np.array([row["probability"].toArray() for row in sorted(said)])
    logarithms: Float64 = np.log(np.maximum(shares, 1e-6))
    return logarithms


def _pca(spark: "SparkSession", layers: Layers) -> Any:
    from pyspark.ml.common import _py2java
    from pyspark.ml.feature import PCAModel
    from pyspark.ml.linalg import DenseMatrix, DenseVector

    context, (size, count) = spark.sparkContext, layers.components.shape
    java_model = jvm(spark).org.apache.spark.ml.feature.PCAModel(
        f"pca_{uuid4().hex[:12]}",
        _py2java(context, DenseMatrix(size, count, layers.components.ravel(order="F"))),
        # What each explains is in the result's own PCA model.
        _py2java(context, DenseVector([0.0] * count)),
    )
    model: Any = PCAModel._from_java(java_model)
    return model._set(k=count).setInputCol("features").setOutputCol("components")


def _scaler(spark: "SparkSession", layers: Layers) -> Any:
    from pyspark.ml.common import _py2java
    from pyspark.ml.feature import StandardScalerModel
    from pyspark.ml.linalg import DenseVector

    context = spark.sparkContext
    java_model = jvm(spark).org.apache.spark.ml.feature.StandardScalerModel(
        f"scaler_{uuid4().hex[:12]}",
        _py2java(context, DenseVector(layers.scale)),
        _py2java(context, DenseVector(layers.shift)),
    )
    java_model.set(java_model.withMean(), True)
    java_model.set(java_model.withStd(), True)
    model: Any = StandardScalerModel._from_java(java_model)
    return model.setInputCol("components").setOutputCol(SCALED)
