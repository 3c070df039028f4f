"""Learn a classifier of any kind, from moments or from rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fruit_spark.classifier import spark_models
from fruit_spark.classifier.class_moments import ClassMoments, Float64
from fruit_spark.classifier.holdout import Role, Split
from fruit_spark.classifier.layers import Layers
from fruit_spark.classifier.linear import discriminants
from fruit_spark.classifier.passes import COLUMNS, Pca, Photos, rows_of
from fruit_spark.features.feature_files import FEATURES, as_block, map_features
from fruit_spark.session.without_pandas import array_to_vector
from fruit_spark.storage.part_files import Batches

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_ROWS_DDL: Final = "target double, scaled array<double>"
Fit = Callable[["DataFrame", int], Any]
_FITS: Final[Mapping[str, Fit]] = {"forest": spark_models.fit_forest, "network": spark_models.fit_network}


@dataclass(frozen=True)
class Learnt:
    """A classifier; of a forest the layers have no dense one."""

    layers: Layers
    model: Any = None
    """Spark ML's; None for a linear one."""

    def logits(self, spark: "SparkSession", features: npt.NDArray[np.floating[Any]]) -> Float64:
        """Of features [n, d], [n, C]."""
        if self.layers.dense:
            return self.layers.logits(features)
        return spark_models.log_probabilities(spark, self.model, self.layers.scaled(features))

    def spark_model(self, spark: "SparkSession") -> Any:
        return self.model or spark_models.linear_model(spark, *self.layers.dense[0])


def learn(
    spark: "SparkSession",
    kind: str,
    photos: Photos,
    pca: Pca,
    moments: ClassMoments,
    numbers: Mapping[str, int],
    but: Split | None = None,
) -> Learnt:
    """From the components whose ``moments`` are given, by label number; ``but`` for what a split tests by."""
    spread = np.ones_like(pca.mean) if pca.spread is None else pca.spread
    layers = Layers(pca.mean, pca.components, spread, moments.mean, moments.deviation, ())
    if kind == "linear":
        weights, bias = discriminants(moments)
        dense = (weights * layers.scale[:, None], bias + layers.shift @ weights)
        return Learnt(replace(layers, dense=(dense,)))
    rows = _scaled_rows(spark, photos, layers, numbers, but).cache()
    try:
        model = _FITS[kind](rows, len(numbers))
    finally:
        rows.unpersist()
    dense_layers = spark_models.network_layers(model) if kind == "network" else ()
    return Learnt(replace(layers, dense=dense_layers), model)


def _scaled_rows(
    spark: "SparkSession", photos: Photos, layers: Layers, numbers: Mapping[str, int], but: Split | None
) -> "DataFrame":
    """``target`` and the vector ``scaled`` of the photos to learn from."""
    shared = spark.sparkContext.broadcast(layers)
    splits = [but] if but else []

    def scale(batches: Batches) -> Batches:
        for batch in batches:
            known, roles = rows_of(photos, batch, splits, numbers)
            kept = (known >= 0) & (roles == Role.TRAIN).all(axis=0)
            block = shared.value.scaled(as_block(batch.column(FEATURES))[kept])
            offsets = np.arange(0, block.size + 1, block.shape[1], dtype=np.int32)
            column = pa.ListArray.from_arrays(pa.array(offsets), pa.array(block.reshape(-1)))
            yield pa.RecordBatch.from_arrays(
                [pa.array(known[kept].astype(np.float64)), column], names=["target", "scaled"]
            )

    tasks = spark.sparkContext.defaultParallelism
    rows = map_features(spark, photos.files, COLUMNS, tasks, scale, _ROWS_DDL)
    return rows.select("target", array_to_vector(rows, "scaled").alias(spark_models.SCALED))
