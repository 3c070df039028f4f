"""A million photos are verified in the memory of four hundred thousand."""

import io
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_contract.manifest import LIVE
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA
from fruit_pipeline.results.verification import verify
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET, planned

REJECTED = pa.schema([("path", pa.string()), ("reason", pa.string())])
ROWS_PER_GROUP = 50_000
LAYOUT = RunLayout(BUCKET, "run-1")


class FilesAsS3:
    """A folder that answers as S3 does to verification. moto would keep all of it in this memory."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent = folder, 0

    def get_paginator(self, _: str) -> "FilesAsS3":
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Any:  # noqa: N803 -- boto3's names
        paths = sorted(self.folder.joinpath(Prefix).rglob("*.parquet"))
        yield {"Contents": [{"Key": path.relative_to(self.folder).as_posix()} for path in paths]}

    def head_object(self, **of: str) -> dict[str, int]:
        return {"ContentLength": self.folder.joinpath(of["Key"]).stat().st_size}

    def get_object(self, **of: str) -> dict[str, Any]:
        first, last = map(int, of["Range"].removeprefix("bytes=").split("-"))
        with self.folder.joinpath(of["Key"]).open("rb") as file:
            file.seek(first)
            body = file.read(last - first + 1)
        self.sent += len(body)
        return {"Body": io.BytesIO(body)}

    def download_fileobj(self, bucket: str, key: str, stream: Any) -> None:
        with self.folder.joinpath(key).open("rb") as file:
            shutil.copyfileobj(file, stream)


def write(folder: Path, photos: int) -> None:
    """A manifest in the order of its keys, and a PCA output in another, as Spark's tasks leave it."""
    for prefix in (LAYOUT.pca_output, LAYOUT.rejected, LAYOUT.manifest):
        folder.joinpath(prefix).mkdir(parents=True)
    random = np.random.default_rng(0)
    pq.write_table(REJECTED.empty_table(), folder / LAYOUT.rejected / "part-0.parquet")
    components = pa.schema([("path", pa.string()), ("features", pa.list_(pa.float32()))])
    with (
        pq.ParquetWriter(folder / LAYOUT.manifest / "part-0.parquet", MANIFEST_SCHEMA) as manifest,
        pq.ParquetWriter(folder / LAYOUT.pca_output / "part-0.parquet", components) as output,
    ):
        for begin in range(0, photos, ROWS_PER_GROUP):
            keys = [f"Test/{number:09}.jpg" for number in range(begin, begin + ROWS_PER_GROUP)]
            rows = [
                {"key": key, "etag": "0", "size": 1, "state": LIVE, "source": "run=run-1"} for key in keys
            ]
            manifest.write_table(pa.Table.from_pylist(rows, schema=MANIFEST_SCHEMA))
            vectors = pa.array(random.random(64 * len(keys), np.float32))
            offsets = pa.array(np.arange(0, 64 * len(keys) + 1, 64, dtype=np.int32))
            paths = [LAYOUT.uri(key) for key in reversed(keys)]
            output.write_table(
                pa.table([pa.array(paths), pa.ListArray.from_arrays(offsets, vectors)], schema=components)
            )


def peak_of_verifying(folder: Path, photos: int) -> int:
    """Of the process, in bytes."""
    s3 = FilesAsS3(folder)
    reduced: Any = {
        "rows": photos,
        "rejected": 0,
        "explained_variance_ratio": [1 / 64] * 64,
        "explained_variance": 1.0,
    }
    parameters = RunParameters(bucket=BUCKET, components=64, minimum_variance=0.5)
    plan = planned(photos, new=0, reused=photos)
    assert verify(s3, LAYOUT, parameters, plan, None, reduced) == {"processed": photos, "rejected": 0}
    # The names alone are fetched, and the first of the vectors.
    assert s3.sent < folder.joinpath(LAYOUT.pca_output, "part-0.parquet").stat().st_size / 2
    # Not ru_maxrss: a process begins with that of the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024


@pytest.mark.slow
def test_more_photos_take_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for photos in (400_000, 1_000_000):
        folder = tmp_path / str(photos)
        write(folder, photos)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            peaks.append(process.submit(peak_of_verifying, folder, photos).result())
    # A digest of each path, as a set keeps it, would be 60 MiB and more.
    assert peaks[1] - peaks[0] < 32 * 2**20
