"""What the peers share: their arguments, their session, how Spark reads the photos, Pillow, and Keras."""

import argparse
import io
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


@dataclass(frozen=True)
class Arguments:
    """Images to read, where the features go, and the Keras model."""

    images: str
    output: str
    model: Path
    partitions: int


Job = Callable[["SparkSession", Arguments], None]


def run_peer(job: Job) -> None:
    """The peer from start to end, once."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser()
    for name in ("--images", "--output"):
        parser.add_argument(name, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    arguments = Arguments(**vars(parser.parse_args()))
    spark = SparkSession.builder.appName(job.__module__).getOrCreate()
    job(spark, arguments)
    spark.stop()


def load_keras(content: bytes) -> Any:
    """The model from its file's bytes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        file.write(content)
        file.flush()
        return keras.models.load_model(file.name, compile=False)


def preprocess(content: bytes) -> npt.NDArray[np.float32]:
    """float32 [224, 224, 3] in [0, 1], by Pillow."""
    from PIL import Image

    image = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) / 255


def read_photos(spark: "SparkSession", arguments: Arguments) -> "DataFrame":
    """path and content of the photos, read by Spark."""
    read = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg")
    return read.option("recursiveFileLookup", "true").load(arguments.images).repartition(arguments.partitions)


def write_features(images: "DataFrame", features: "Column", arguments: Arguments) -> None:
    """path, label and features, as Parquet."""
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

    label = F.element_at(F.split("path", "/"), -2).alias("label")
    images.select("path", label, features.alias("features")).write.mode("overwrite").parquet(arguments.output)
