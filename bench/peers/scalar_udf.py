"""A plain UDF that decodes and predicts one image at a time, the model kept for the life of the worker."""

import io

import numpy as np
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from bench.peers.application import Arguments, load_keras, run_peer

_MODELS: list[object] = []


def featurize(spark: SparkSession, arguments: Arguments) -> None:
    weights = spark.sparkContext.broadcast(arguments.model.read_bytes())

    @F.udf("array<float>")
    def features(content: bytes) -> list[float]:
        from bench.peers.scalar_udf import predict_one

        return predict_one(weights.value, content)

    images = (
        spark.read.format("binaryFile")
        .option("pathGlobFilter", "*.jpg")
        .option("recursiveFileLookup", "true")
        .load(arguments.images)
        .repartition(arguments.partitions)
    )
    label = F.element_at(F.split("path", "/"), -2)
    rows = images.select("path", label.alias("label"), features("content").alias("features"))
    rows.write.mode("overwrite").parquet(arguments.output)


def predict_one(weights: bytes, content: bytes) -> list[float]:
    from PIL import Image

    if not _MODELS:
        _MODELS.append(load_keras(weights))
    image = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    photo = np.asarray(image, np.float32) / 255
    predicted: list[float] = _MODELS[0].predict(photo[None], verbose=0)[0].tolist()  # type: ignore[attr-defined]
    return predicted


if __name__ == "__main__":
    run_peer(featurize)
