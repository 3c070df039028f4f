"""The usual notebook: images read by Spark, a SCALAR_ITER pandas UDF, Pillow, and Keras' ``predict``.

The model is loaded once a task, from broadcast weights, as the iterator of the UDF is made for. Published
notebooks of this pattern repartition the photos to 16, 20 or 24 tasks before it; the benchmark does likewise.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.pandas.functions import pandas_udf

from bench.peers.application import (
    Arguments,
    load_keras,
    preprocess,
    read_photos,
    run_peer,
    write_features,
)


def featurize(spark: SparkSession, arguments: Arguments) -> None:
    weights = spark.sparkContext.broadcast(arguments.model.read_bytes())

    @pandas_udf("array<float>")  # type: ignore[call-overload,untyped-decorator,unused-ignore]
    def features(contents: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = load_keras(weights.value)
        for content in contents:
            predicted = model.predict(np.stack([preprocess(data) for data in content]), verbose=0)
            yield pd.Series(list(predicted))

    write_features(read_photos(spark, arguments), features("content"), arguments)


if __name__ == "__main__":
    run_peer(featurize)
