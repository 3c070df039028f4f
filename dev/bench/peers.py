"""What people usually write for the same work, as Spark applications: ``--peer`` says which.

``notebook``    images read by Spark, a SCALAR_ITER pandas UDF, Pillow, and Keras' ``predict``. The model is
                loaded once a task, from broadcast weights, as the iterator of the UDF is made for. Published
                notebooks of this pattern repartition the photos to 16, 20 or 24 tasks before it.
``scalar_udf``  a plain UDF that decodes and predicts one image at a time, the model kept for the life of the
                worker.
"""

import argparse
import io
import os
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.broadcast import Broadcast


def load_keras(content: bytes) -> Any:
    """The model from its file's bytes."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras

    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        file.write(content)
        file.flush()
        return keras.models.load_model(file.name, compile=False)


kept_keras = cache(load_keras)


def preprocess(content: bytes) -> npt.NDArray[np.float32]:
    """float32 [224, 224, 3] in [0, 1], by Pillow."""
    from PIL import Image

    image = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(image, np.float32) / 255


def notebook(weights: "Broadcast[bytes]") -> Any:
    import pandas as pd
    from pyspark.sql.pandas.functions import PandasUDFType, pandas_udf

    def features(batches: "Iterator[pd.Series]") -> "Iterator[pd.Series]":
        model = load_keras(weights.value)
        for contents in batches:
            predicted = model.predict(np.stack([preprocess(content) for content in contents]), verbose=0)
            yield pd.Series(list(predicted))

    return pandas_udf(features, "array<float>", PandasUDFType.SCALAR_ITER)  # type: ignore[arg-type]


def scalar_udf(weights: "Broadcast[bytes]") -> Any:
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

    def features(content: bytes) -> list[float]:
        from bench.peers import kept_keras  # the module that a worker keeps, not the script's own copy

        [predicted] = kept_keras(weights.value).predict(preprocess(content)[None], verbose=0).tolist()
        return list(predicted)

    return F.udf(features, "array<float>")


def main() -> None:
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention

    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", choices=("notebook", "scalar_udf"), required=True)
    for name in ("--images", "--output"):
        parser.add_argument(name, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--partitions", type=int, required=True)
    given = parser.parse_args()
    spark = SparkSession.builder.appName(given.peer).getOrCreate()
    features = {"notebook": notebook, "scalar_udf": scalar_udf}[given.peer](
        spark.sparkContext.broadcast(given.model.read_bytes())
    )
    read = spark.read.format("binaryFile").option("pathGlobFilter", "*.jpg")
    photos = read.option("recursiveFileLookup", "true").load(given.images).repartition(given.partitions)
    label = F.element_at(F.split("path", "/"), -2).alias("label")
    rows = photos.select("path", label, features("content").alias("features"))
    rows.write.mode("overwrite").parquet(given.output)
    spark.stop()


if __name__ == "__main__":
    main()
