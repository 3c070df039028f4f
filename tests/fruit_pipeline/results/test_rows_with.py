"""Promise: the rows of one key are found without reading the whole table."""

from pathlib import Path

from fruit_contract.layout import RunLayout
from fruit_pipeline.results.tables import rows_with
from tests.fruit_pipeline.files_as_s3 import ROWS_PER_GROUP, FilesAsS3, write_manifest

LAYOUT = RunLayout("bucket", "r")
GROUPS = 8


def test_a_key_is_looked_for_in_one_row_group_of_many(tmp_path: Path) -> None:
    file = tmp_path / LAYOUT.manifest / "rows.parquet"
    write_manifest(file, GROUPS * ROWS_PER_GROUP, "run=r")
    s3 = FilesAsS3(tmp_path)

    def found(key: str) -> list[tuple[str, ...]]:
        return list(rows_with(s3, LAYOUT.bucket, LAYOUT.manifest, key, ("state", "source")))

    assert found(f"Test/{5 * ROWS_PER_GROUP + 7:09}.jpg") == [("live", "run=r")]
    assert s3.sent < file.stat().st_size / 2
    assert found("Test/000000007.jp") == []
    assert found("Zest") == []
