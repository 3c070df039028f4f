"""Fit and transform of the PCA: ours against ``pyspark.ml.feature.PCA``, in one session, in turn."""

import argparse
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from bench.interleave import interleaved
from fruit_contract.partitions import output_partitions
from fruit_spark.features.feature_batches import FEATURES_DDL
from fruit_spark.features.feature_files import FEATURES, list_features
from fruit_spark.pca.moments import moments_of
from fruit_spark.pca.solvers import explained_variance_ratio, fit_blocks, write_projection
from fruit_spark.session.spark_session import start_session
from fruit_spark.session.without_pandas import array_to_vector

if TYPE_CHECKING:
    from pyspark.ml.feature import PCAModel
    from pyspark.sql import DataFrame, SparkSession

VARIANCE_TOLERANCE = 1e-9
"""Of each component's share of the variance."""
ANGLE_TOLERANCE = 1e-6
"""Radians: the largest principal angle between the two subspaces."""
COMPONENT_TOLERANCE = 1e-6
"""Of a component, relative to the largest: ours is written as float32, pyspark.ml's as float64."""


def read_features(spark: "SparkSession", folder: str) -> "DataFrame":
    features = spark.read.schema(FEATURES_DDL).parquet(folder)
    return features.where("features is not null").select("path", "label", FEATURES)


def fit_ours(spark: "SparkSession", folder: str, components: int) -> "PCAModel":
    moments = moments_of(spark, list_features(spark, [folder]))
    assert moments is not None
    return fit_blocks(read_features(spark, folder), moments, components)


def fit_peer(spark: "SparkSession", folder: str, components: int) -> "PCAModel":
    from pyspark.ml.feature import PCA

    features = read_features(spark, folder)
    vectors = features.select(array_to_vector(features, FEATURES).alias("vector"))
    return PCA(k=components, inputCol="vector", outputCol="components").fit(vectors)


def transform_ours(spark: "SparkSession", folder: str, model: "PCAModel", rows: int, output: str) -> None:
    files = output_partitions(rows, spark.sparkContext.defaultParallelism)
    write_projection(spark, list_features(spark, [folder]), model.pc.toArray(), output, files, rows)


def transform_peer(spark: "SparkSession", folder: str, model: "PCAModel", rows: int, output: str) -> None:
    """As its users write it: the vector column goes into Parquet as it is."""
    files = output_partitions(rows, spark.sparkContext.defaultParallelism)
    features = read_features(spark, folder)
    vectors = features.select("path", "label", array_to_vector(features, FEATURES).alias("vector"))
    model.setInputCol("vector").setOutputCol("components")
    projected = model.transform(vectors).select("path", "label", "components")
    projected.coalesce(files).write.mode("overwrite").parquet(output)


def check_models(ours: "PCAModel", peer: "PCAModel") -> dict[str, float]:
    """How far apart they are; ``SystemExit`` when it is farther than the tolerances."""
    variance = float(np.abs(explained_variance_ratio(ours) - explained_variance_ratio(peer)).max())
    # By its sine (Golub and Van Loan, Matrix Computations, 6.4.3): a cosine near 1 hides a small angle.
    basis, other = ours.pc.toArray(), peer.pc.toArray()
    angle = float(np.arcsin(min(1.0, float(np.linalg.norm(other - basis @ (basis.T @ other), 2)))))
    if variance > VARIANCE_TOLERANCE or angle > ANGLE_TOLERANCE:
        raise SystemExit(f"The two PCA models disagree: variance by {variance}, subspace by {angle}.")
    return {"variance": variance, "subspace": angle}


def check_components(spark: "SparkSession", ours: str, peer: str) -> float:
    """Largest difference of a component, relative to the largest one; both were given the same model."""
    from pyspark.ml.functions import vector_to_array

    one = spark.read.parquet(ours)
    other = spark.read.parquet(peer).select("path", vector_to_array(F.col("components")).alias("expected"))
    both = one.join(other, "path").select(
        F.array_max(
            F.transform(F.arrays_zip("features", "expected"), lambda z: F.abs(z["features"] - z["expected"]))
        ).alias("off"),
        F.array_max(F.transform("expected", F.abs)).alias("most"),
    )
    rows, off, most = both.agg(F.count("*"), F.max("off"), F.max("most")).collect()[0]
    if rows != one.count() or off > COMPONENT_TOLERANCE * most:
        raise SystemExit(
            f"The two outputs disagree: {rows} rows in both, a component off by {off} of {most}."
        )
    return float(off / most)


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("features", "quarter", "few", "output"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("components", "rows", "repeats"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--result", type=Path, required=True)
    given = parser.parse_args()
    spark = start_session("reduce-stages")
    k = given.components

    models = {"ours": fit_ours(spark, given.few, k), "peer": fit_peer(spark, given.few, k)}
    for name, transform in (("ours", transform_ours), ("peer", transform_peer)):
        transform(spark, given.few, models[name], given.rows, f"{given.output}/few-{name}")

    def fit(name: str, how: "partial[PCAModel]") -> None:
        models[name] = how()

    fits = interleaved(
        {
            "ours": partial(fit, "ours", partial(fit_ours, spark, given.features, k)),
            "peer": partial(fit, "peer", partial(fit_peer, spark, given.features, k)),
            "quarter": partial(fit_ours, spark, given.quarter, k),
        },
        given.repeats,
    )
    apart = check_models(models["ours"], models["peer"])
    # The peer is given our model, so that the outputs can be compared without regard to a sign.
    outputs = {name: f"{given.output}/{name}" for name in ("ours", "peer")}
    transforms = interleaved(
        {
            "ours": partial(
                transform_ours, spark, given.features, models["ours"], given.rows, outputs["ours"]
            ),
            "peer": partial(
                transform_peer, spark, given.features, models["ours"], given.rows, outputs["peer"]
            ),
        },
        given.repeats,
    )
    off = check_components(spark, outputs["ours"], outputs["peer"])
    found = {"fit": fits, "transform": transforms, "apart": apart | {"components": off}}
    given.result.write_text(json.dumps(found))
    spark.stop()


if __name__ == "__main__":
    main()
