"""A million photos are planned over a result of as many, in the memory of two hundred thousand.

They come from an inventory report, whose rows are read, sorted and merged. What listing a bucket needs
besides is measured by the benchmark.
"""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.photos.changes import write_lists
from fruit_pipeline.photos.known_features import KnownFeatures
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.files_as_s3 import (
    MORE_MEMORY,
    ROWS_PER_GROUP,
    FilesAsS3,
    keys,
    peak_of,
    write_manifest,
)

CURRENT, NEXT = RunLayout(BUCKET, "run-1"), RunLayout(BUCKET, "run-2")
REPORT = pa.schema([("key", pa.string()), ("size", pa.int64()), ("e_tag", pa.string())])


def write_report(folder: Path, photos: int) -> None:
    """Every second row group is of changed photos, and the groups come in no order."""
    with pq.ParquetWriter(folder / "data.parquet", REPORT) as report:
        for number, begin in enumerate(reversed(range(0, photos, ROWS_PER_GROUP))):
            names = pa.array(keys(begin))
            size, etag = pa.repeat(1, len(names)), pa.repeat(str(number % 2), len(names))
            report.write_table(pa.table([names, size, etag], schema=REPORT))
    with folder.joinpath("data.parquet").open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    described = {
        "sourceBucket": BUCKET,
        "fileFormat": "Parquet",
        "fileSchema": "message s3 { optional binary key; optional int64 size; optional binary e_tag; }",
        "files": [{"key": "data.parquet", "MD5checksum": md5}],
    }
    folder.joinpath("manifest.json").write_text(json.dumps(described))


def plan_all(folder: Path, photos: int) -> None:
    known, report = KnownFeatures(CURRENT.manifest), f"s3://{BUCKET}/manifest.json"
    changes = write_lists(FilesAsS3(folder), NEXT, "Test/", known, report)
    assert (changes.found, changes.reused, changes.changed) == (photos, photos / 2, photos / 2)


@pytest.mark.slow
def test_more_photos_take_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for photos in (200_000, 1_000_000):
        folder = tmp_path / str(photos)
        write_manifest(folder / CURRENT.manifest / "rows.parquet", photos, CURRENT.source)
        write_report(folder, photos)
        peaks.append(peak_of(plan_all, folder, photos))
    assert peaks[1] - peaks[0] < MORE_MEMORY
