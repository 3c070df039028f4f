"""The result of a million photos is published in the memory of two hundred thousand."""

from pathlib import Path
from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.results.claims import Owner
from fruit_pipeline.results.publication import pointer_to, read_pointer
from fruit_pipeline.results.publishing import publish
from tests.fruit_pipeline.conftest import BUCKET, FEATURES
from tests.fruit_pipeline.files_as_s3 import MORE_MEMORY, FilesAsS3, peak_of, write_manifest

LAYOUT = RunLayout(BUCKET, "run-1")


def publish_all(folder: Path, photos: int) -> None:
    s3 = FilesAsS3(folder)
    nothing: Any = {}
    reduced: Any = {
        "rows": photos,
        "components": 64,
        "share_asked": None,
        "solver": "blocks",
        "scaling": "none",
    }
    reduced["explained_variance"] = 1.0
    pointer = pointer_to(LAYOUT, "run-1", FEATURES, nothing, reduced)
    publish(s3, LAYOUT, Owner("test", "fruit_features", "run-1"), pointer, None)
    assert (read_pointer(s3, BUCKET).pointer or {})["rows"] == photos


@pytest.mark.slow
def test_more_photos_take_no_more_memory(tmp_path: Path) -> None:
    peaks = []
    for photos in (200_000, 1_000_000):
        folder = tmp_path / str(photos)
        write_manifest(folder / LAYOUT.manifest / "rows.parquet", photos, LAYOUT.source)
        features = folder / LAYOUT.features
        features.mkdir(parents=True)
        for number in range(photos // 1_000):
            features.joinpath(f"part-{number:05}.parquet").touch()
        peaks.append(peak_of(publish_all, folder, photos))
    assert peaks[1] - peaks[0] < MORE_MEMORY
