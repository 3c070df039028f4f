"""Promise: an export has the rows of the result, one for one, in a new file that is whole or not there."""

import csv
import io
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from fruit_contract.layout import LATEST_KEY, RunLayout
from fruit_pipeline import __main__ as commands
from fruit_pipeline.export import result_rows
from fruit_pipeline.export.exporting import export
from fruit_pipeline.export.result_rows import ExportError, ResultRows, rows_in_bucket, rows_in_folder
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.files_as_s3 import MORE_MEMORY, ROWS_PER_GROUP, peak_of

SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("features", pa.list_(pa.float32()))])
LABELS = ["Kiwi", 'Apple "Red", 1', "Poire é", "two\nlines", "=1+1", "@here", "-", ""]
ROWS, COMPONENTS = 21, 5
QUIET = Console(quiet=True)


def table(rows: int, components: int, seed: int) -> pa.Table:
    """Text as keys may hold it, and numbers of all sizes."""
    chance = np.random.default_rng(seed)
    labels = [LABELS[row % len(LABELS)] for row in range(rows)]
    paths = [f"s3://{BUCKET}/Test/{label}/{seed}-{row}.jpg" for row, label in enumerate(labels)]
    values = chance.normal(size=(rows, components)) * 10.0 ** chance.integers(-12, 12, (rows, components))
    return pa.table([paths, labels, values.astype(np.float32).tolist()], schema=SCHEMA)


@pytest.fixture
def result(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A folder as ``out/latest`` is, and its rows. One of its files has none."""
    folder = tmp_path / "latest"
    (folder / "pca_output").mkdir(parents=True)
    parts = [table(ROWS, COMPONENTS, 0), SCHEMA.empty_table(), table(3, COMPONENTS, 1)]
    for number, part in enumerate(parts):
        pq.write_table(part, folder / "pca_output" / f"part-{number}.parquet", row_group_size=8)
    return folder, pa.concat_tables(parts).to_pylist()


def shown(text: str) -> str:
    """As it stands in a cell."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@") else text


def read_csv(file: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(file.read_bytes().decode(), newline="")))


def test_csv_has_a_column_a_component_and_cells_that_no_spreadsheet_runs(
    result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = result
    export(rows_in_folder(folder), tmp_path / "fruits.csv", QUIET)
    names, *cells = read_csv(tmp_path / "fruits.csv")
    assert names == ["path", "label", "c1", "c2", "c3", "c4", "c5"]
    assert [row[:2] for row in cells] == [[row["path"], shown(row["label"])] for row in rows]
    assert {"'=1+1", "'@here", "'-"} <= {row[1] for row in cells}
    found = np.array([row[2:] for row in cells], np.float32)
    np.testing.assert_array_equal(found, np.array([row["features"] for row in rows], np.float32))


def test_parquet_has_the_columns_of_the_result_in_one_file(
    result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = result
    export(rows_in_folder(folder), tmp_path / "fruits.parquet", QUIET)
    found = pq.read_table(tmp_path / "fruits.parquet")
    assert found.schema.equals(SCHEMA)
    assert found.to_pylist() == rows


def test_npy_is_a_matrix_with_the_names_of_its_rows_beside_it(
    result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = result
    export(rows_in_folder(folder), tmp_path / "fruits.npy", QUIET)
    matrix = np.load(tmp_path / "fruits.npy", mmap_mode="r")
    assert (matrix.dtype, matrix.shape) == (np.dtype(np.float32), (ROWS + 3, COMPONENTS))
    np.testing.assert_array_equal(matrix, np.array([row["features"] for row in rows], np.float32))
    names, *cells = read_csv(tmp_path / "fruits.csv")
    assert names == ["path", "label"]
    assert cells == [[row["path"], shown(row["label"])] for row in rows]


def publish(s3: Any, layout: RunLayout, folder: Path, **pointer: Any) -> None:
    for file in folder.joinpath("pca_output").iterdir():
        s3.upload_file(str(file), layout.bucket, f"{layout.pca_output}{file.name}")
    body = json.dumps({"run_key": layout.run_key, **pointer}).encode()
    s3.put_object(Bucket=layout.bucket, Key=LATEST_KEY, Body=body)


def test_of_a_bucket_the_current_result_alone_is_exported(
    s3: Any, layout: RunLayout, result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = result
    publish(s3, RunLayout(BUCKET, "run-0"), folder, rows=len(rows))
    publish(s3, layout, folder, rows=len(rows))
    export(rows_in_bucket(s3, BUCKET), tmp_path / "fruits.parquet", QUIET)
    assert pq.read_table(tmp_path / "fruits.parquet").to_pylist() == rows


def test_a_result_with_other_rows_than_its_pointer_says_is_refused(
    s3: Any, layout: RunLayout, result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, rows = result
    publish(s3, layout, folder, rows=len(rows) + 1)
    with pytest.raises(ExportError, match=f"has {len(rows)} rows, and should have {len(rows) + 1}"):
        export(rows_in_bucket(s3, BUCKET), tmp_path / "fruits.npy", QUIET)
    publish(s3, layout, folder)
    with pytest.raises(ExportError, match="is of an older version: start a run"):
        rows_in_bucket(s3, BUCKET)
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_a_bucket_without_a_result_is_refused(s3: Any) -> None:
    with pytest.raises(ExportError, match=r"has no result, Results/latest.json is not there: start a run"):
        rows_in_bucket(s3, BUCKET)


@pytest.mark.parametrize("there", ["fruits.npy", "fruits.csv"])
def test_no_file_is_written_over(
    there: str, result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(ExportError, match=f"{there} is there already: name another file"):
        export(rows_in_folder(result[0]), tmp_path / "fruits.npy", QUIET)
    assert (tmp_path / there).read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {"latest", there}


def test_a_file_that_comes_meanwhile_is_not_written_over_either(
    result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    rows = rows_in_folder(result[0])

    def meanwhile() -> Iterator[pa.RecordBatch]:
        yield from rows.batches
        (tmp_path / "fruits.csv").write_text("mine")

    with pytest.raises(ExportError, match="is there already"):
        export(replace(rows, batches=meanwhile()), tmp_path / "fruits.csv", QUIET)
    assert (tmp_path / "fruits.csv").read_text() == "mine"


def test_vectors_of_different_lengths_are_refused(tmp_path: Path) -> None:
    parts = [table(4, COMPONENTS, 0), table(4, COMPONENTS + 1, 1)]
    batches = (batch for part in parts for batch in part.to_batches())
    with pytest.raises(ExportError, match="has rows of other lengths than 5"):
        export(ResultRows("here", 8, batches), tmp_path / "fruits.csv", QUIET)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_refused_in_one_sentence(
    result: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    file = result[0] / "pca_output" / "part-0.parquet"
    content = bytearray(file.read_bytes())
    content[8:200] = b"\xff" * 192
    file.write_bytes(content)
    with pytest.raises(ExportError, match=r"latest cannot be read \(.*\): run `make run` again") as refused:
        export(rows_in_folder(result[0]), tmp_path / "fruits.csv", QUIET)
    assert "\n" not in str(refused.value)
    file.write_bytes(b"no Parquet")
    with pytest.raises(ExportError, match="latest cannot be read"):
        rows_in_folder(result[0])


# --- the command -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["fruit_pipeline", "export", *arguments])
    return commands.run()


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_an_interrupted_export_leaves_nothing(
    suffix: str,
    result: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(folder: Path) -> ResultRows:
        rows = rows_in_folder(folder)

        def batches() -> Iterator[pa.RecordBatch]:
            yield next(rows.batches)
            assert list(tmp_path.glob(f".export-*/fruits{suffix}"))
            signal.raise_signal(signal.SIGTERM)

        return replace(rows, batches=batches())

    monkeypatch.setattr(result_rows, "rows_in_folder", interrupted)
    code = run(monkeypatch, "--result", str(result[0]), "--to", str(tmp_path / f"fruits{suffix}"))
    assert (code, capsys.readouterr().err) == (130, "Interrupted: nothing was written.\n")
    assert [path.name for path in tmp_path.iterdir()] == ["latest"]


def test_the_command_says_what_it_has_written(
    result: tuple[Path, list[dict[str, Any]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = tmp_path / "fruits.csv"
    assert run(monkeypatch, "--result", str(result[0]), "--to", str(target)) == 0
    assert capsys.readouterr().out == f"24 rows of 5 components are in {target}.\n"
    assert run(monkeypatch, "--result", str(result[0]), "--to", str(target)) == 1
    assert (
        capsys.readouterr().err == f"error: {target} is there already: name another file, or move it away.\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("", 2, "error: TO= (--to) is missing: give a new file: "),
        (
            "--to fruits.xlsx",
            1,
            "error: fruits.xlsx has no suffix that is known: choose .csv, .parquet, .npy.",
        ),
        ("--to none/fruits.csv", 1, "error: There is no folder none: make it, or name another."),
        ("--to fruits.csv --result none", 1, "error: none holds no result, none/pca_output has no Parquet"),
        ("--to fruits.csv --result s3://", 2, "error: 's3://' is not an S3 address: "),
        (
            "--to fruits.csv --result s3://b/Results",
            2,
            "error: s3://b/Results is more than a bucket: name s3://b",
        ),
        (
            "--to fruits.csv --result s3://not-there",
            1,
            "error: Bucket 'not-there' cannot be used (NoSuchBucket ",
        ),
        ("--to fruits.csv --result s3://fruits-test", 1, "error: s3://fruits-test has no result, "),
        (
            "--to f.csv --result s3://fruits-test --region us-east-1",
            2,
            "error: 'us-east-1' is not in the EU: ",
        ),
        (
            "--to f.csv --result s3://fruits-test --region eu-west-3",
            1,
            "error: Bucket 'fruits-test' lies in eu-west-1: set --region=eu-west-1.",
        ),
    ],
)
@pytest.mark.usefixtures("s3")
def test_a_wrong_command_is_one_sentence(
    arguments: str,
    code: int,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, *arguments.split()) == code
    said = capsys.readouterr().err
    assert said.startswith(sentence)
    assert said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


# --- memory ----------------------------------------------------------------------------------------


def write_large(folder: Path, rows: int, components: int = 128) -> None:
    (folder / "pca_output").mkdir(parents=True)
    chance = np.random.default_rng(0)
    offsets = pa.array(np.arange(0, components * ROWS_PER_GROUP + 1, components, dtype=np.int32))
    with pq.ParquetWriter(folder / "pca_output" / "part-0.parquet", SCHEMA) as writer:
        for begin in range(0, rows, ROWS_PER_GROUP):
            values = pa.array(chance.random(components * ROWS_PER_GROUP, np.float32))
            paths = [f"s3://b/Test/{row:09}.jpg" for row in range(begin, begin + ROWS_PER_GROUP)]
            features = pa.ListArray.from_arrays(offsets, values)
            writer.write_table(pa.table([paths, ["Kiwi"] * ROWS_PER_GROUP, features], schema=SCHEMA))


def export_all(folder: Path, suffix: str) -> None:
    export(rows_in_folder(folder), folder / f"fruits{suffix}", QUIET)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".npy"])
def test_more_rows_take_no_more_memory(suffix: str, tmp_path: Path) -> None:
    peaks = []
    for rows in (50_000, 200_000):
        folder = tmp_path / str(rows)
        write_large(folder, rows)
        peaks.append(peak_of(export_all, folder, suffix))
    # The rows more hold 77 MB of components.
    assert peaks[1] - peaks[0] < MORE_MEMORY
