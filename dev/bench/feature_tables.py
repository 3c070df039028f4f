"""Seeded feature tables, as the featurize step writes them, for the benchmarks of the PCA."""

from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fruit_spark.model.engines import FEATURE_DIM, Features

_SEED: Final = 20_261_122
_LABELS: Final = 131


def write_features(folder: Path, rows: int, files: int) -> Path:
    """``rows`` vectors of float32 [1280] in ``files`` Parquet files of the features' schema.

    A random rotation of normal variables whose scales fall as 1/sqrt(n), moved away from zero: a
    spectrum without ties, so that two solvers must find the same components. The same seed and number
    of rows give the same vectors, whatever the number of files.
    """
    folder.mkdir(parents=True)
    chance = np.random.default_rng(_SEED)
    scales = 1 / np.sqrt(np.arange(1, FEATURE_DIM + 1, dtype=np.float32))
    rotation = np.linalg.qr(chance.standard_normal((FEATURE_DIM, FEATURE_DIM)))[0].astype(np.float32)
    vectors = chance.standard_normal((rows, FEATURE_DIM), np.float32) * scales @ rotation + np.float32(0.5)
    bounds = [rows * number // files for number in range(files + 1)]
    for number, (first, last) in enumerate(pairwise(bounds)):
        file = folder / f"part-{number:05d}.parquet"
        # As Spark writes them: no dictionary for values of which hardly two are equal.
        pq.write_table(
            _table(vectors[first:last], first), file, compression="snappy", use_dictionary=["label"]
        )
    return folder


def _table(vectors: Features, first: int) -> pa.Table:
    offsets = np.arange(0, vectors.size + 1, FEATURE_DIM, dtype=np.int32)
    labels = [f"fruit-{row % _LABELS:03d}" for row in range(first, first + len(vectors))]
    return pa.table(
        {
            "path": [f"s3://fruits/Test/{label}/{first + n}_100.jpg" for n, label in enumerate(labels)],
            "label": labels,
            "features": pa.ListArray.from_arrays(pa.array(offsets), pa.array(vectors.reshape(-1))),
            "reason": pa.nulls(len(vectors), pa.string()),
        }
    )
