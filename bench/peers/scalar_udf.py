"""A plain UDF that decodes and predicts one image at a time, the model kept for the life of the worker."""

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

from bench.peers.application import (
    Arguments,
    load_keras,
    preprocess,
    read_photos,
    run_peer,
    write_features,
)

_MODELS: list[object] = []


def featurize(spark: SparkSession, arguments: Arguments) -> None:
    weights = spark.sparkContext.broadcast(arguments.model.read_bytes())

    @F.udf("array<float>")
    def features(content: bytes) -> list[float]:
        from bench.peers.scalar_udf import predict_one

        return predict_one(weights.value, content)

    write_features(read_photos(spark, arguments), features("content"), arguments)


def predict_one(weights: bytes, content: bytes) -> list[float]:
    if not _MODELS:
        _MODELS.append(load_keras(weights))
    photo = preprocess(content)
    predicted: list[float] = _MODELS[0].predict(photo[None], verbose=0)[0].tolist()  # type: ignore[attr-defined]
    return predicted


if __name__ == "__main__":
    run_peer(featurize)
