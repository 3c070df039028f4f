"""The usual notebook: images read by Spark, a SCALAR_ITER pandas UDF, Pillow, and Keras' ``predict``.

The model is loaded once a task, from broadcast weights, as the iterator of the UDF is made for.
"""

import io
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812 - Spark's own convention
from pyspark.sql.pandas.functions import pandas_udf

from bench.peers.application import Arguments, load_keras, run_peer


def featurize(spark: SparkSession, arguments: Arguments) -> None:
    weights = spark.sparkContext.broadcast(arguments.model.read_bytes())

    def preprocess(content: bytes) -> npt.NDArray[np.float32]:
        from PIL import Image

        image = Image.open(io.BytesIO(content)).convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
        return np.asarray(image, np.float32) / 255

    @pandas_udf("array<float>")  # type: ignore[call-overload,untyped-decorator,unused-ignore]
    def features(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = load_keras(weights.value)
        for content in contents:
            predicted = model.predict(np.stack([preprocess(data) for data in content]), verbose=0)
            yield pd.Series(list(predicted))

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


if __name__ == "__main__":
    run_peer(featurize)
