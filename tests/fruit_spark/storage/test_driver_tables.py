"""Promise: the driver looks into very many feature files in the memory of a few."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_spark.features.feature_batches import Decoded, to_feature_batches
from fruit_spark.storage.driver_tables import FILES_AT_ONCE, open_table, some_files_at_a_time
from tests.fruit_spark.conftest import ROOT

ROWS_PER_GROUP = 50_000
PEAK = """
import sys
from pathlib import Path
from fruit_spark.storage.driver_tables import batches_of, open_table, some_files_at_a_time
table = open_table(sys.argv[1])
print({})
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM:")))
"""
COUNT = "sum(part.count_rows() for part in some_files_at_a_time(table))"
READ = "sum(batch.num_rows for batch in batches_of(table, ['uri']))"


def rows_and_peak(what: str, address: Path) -> tuple[int, int]:
    """What a fresh process gives, and the KiB that it had resident at most."""
    command = [sys.executable, "-c", PEAK.format(what), str(address)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    rows, kibibytes = map(int, said.split())
    return rows, kibibytes


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A feature file of one photo that was rejected."""
    file = tmp_path / "part.parquet"
    rejected = Decoded("a.jpg", None, "corrupt", None)
    pq.write_table(pa.Table.from_batches(to_feature_batches([rejected], None, 1)), file)  # type: ignore[arg-type]
    return file


def many(folder: Path, part: Path, files: int) -> Path:
    folder.mkdir()
    for number in range(files):
        folder.joinpath(f"part-{number:05}.parquet").hardlink_to(part)
    return folder


def test_every_file_is_seen_once(tmp_path: Path, part: Path) -> None:
    folder = many(tmp_path / "features", part, 2 * FILES_AT_ONCE + 1)
    parts = [each.to_table(["path"]) for each in some_files_at_a_time(open_table(str(folder)))]
    assert [len(each) for each in parts] == [FILES_AT_ONCE, FILES_AT_ONCE, 1]
    assert pa.concat_tables(parts).column("path").unique().to_pylist() == ["a.jpg"]


def test_more_files_take_no_more_memory(tmp_path: Path, part: Path) -> None:
    peaks = []
    for files in (1_000, 5_000):
        rows, peak = rows_and_peak(COUNT, many(tmp_path / str(files), part, files))
        assert rows == files
        peaks.append(peak)
    # The footers of all of them are 60 MiB and more.
    assert peaks[1] - peaks[0] < 20 * 1024


def test_more_rows_take_no_more_memory(tmp_path: Path) -> None:
    uris = [f"s3://bucket/Test/fruit/{number:09}_100.jpg" for number in range(ROWS_PER_GROUP)]
    table, peaks = pa.table({"uri": uris, "etag": [f"{number:032x}" for number in range(len(uris))]}), []
    for groups in (4, 40):
        file = tmp_path / f"{groups}.parquet"
        with pq.ParquetWriter(file, table.schema) as writer:
            for _ in range(groups):
                writer.write_table(table)
        rows, peak = rows_and_peak(READ, file)
        assert rows == groups * ROWS_PER_GROUP
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 20 * 1024
