"""A million photos are verified in the memory of four hundred thousand."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.results.verification import verify
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET, planned
from tests.fruit_pipeline.files_as_s3 import (
    MORE_MEMORY,
    ROWS_PER_GROUP,
    FilesAsS3,
    keys,
    peak_of,
    write_manifest,
)

REJECTED = pa.schema([("path", pa.string()), ("reason", pa.string())])
LAYOUT = RunLayout(BUCKET, "run-1")


def write(folder: Path, photos: int) -> None:
    """A manifest in the order of its keys, and a PCA output in another, as Spark's tasks leave it."""
    write_manifest(folder / LAYOUT.manifest / "part-0.parquet", photos, LAYOUT.source)
    for prefix in (LAYOUT.pca_output, LAYOUT.rejected):
        folder.joinpath(prefix).mkdir(parents=True)
    random = np.random.default_rng(0)
    pq.write_table(REJECTED.empty_table(), folder / LAYOUT.rejected / "part-0.parquet")
    components = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32()))])
    with pq.ParquetWriter(folder / LAYOUT.pca_output / "part-0.parquet", components) as output:
        for begin in range(0, photos, ROWS_PER_GROUP):
            vectors = pa.array(random.random(64 * ROWS_PER_GROUP, np.float32))
            offsets = pa.array(np.arange(0, 64 * ROWS_PER_GROUP + 1, 64, dtype=np.int32))
            paths = [LAYOUT.uri(key) for key in reversed(keys(begin))]
            output.write_table(
                pa.table([pa.array(paths), pa.ListArray.from_arrays(offsets, vectors)], schema=components)
            )


def verify_all(folder: Path, photos: int) -> None:
    s3 = FilesAsS3(folder)
    reduced: Any = {
        "rows": photos,
        "rejected": 0,
        "components": 64,
        "scaling": "none",
        "explained_variance_ratio": [1 / 64] * 64,
        "explained_variance": 1.0,
    }
    parameters = RunParameters(bucket=BUCKET, components=64, minimum_variance=0.5)
    plan = planned(photos, new=0, reused=photos)
    assert verify(s3, LAYOUT, parameters, plan, None, reduced) == {"processed": photos, "rejected": 0}
    # The names alone are fetched, and the first of the vectors.
    assert s3.sent < folder.joinpath(LAYOUT.pca_output, "part-0.parquet").stat().st_size / 2


@pytest.mark.slow
def test_more_photos_take_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for photos in (400_000, 1_000_000):
        folder = tmp_path / str(photos)
        write(folder, photos)
        peaks.append(peak_of(verify_all, folder, photos))
    assert peaks[1] - peaks[0] < MORE_MEMORY
