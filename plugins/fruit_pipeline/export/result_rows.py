"""The rows of a current result, read once, from a folder on this machine or from a bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fruit_contract.layout import LATEST_KEY, RunLayout
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.publication import read_pointer
from fruit_pipeline.results.tables import batches_in, batches_under

_COLUMNS: Final = ["path", "label", "features"]


class ExportError(PipelineError):
    """There is nothing to export, or nowhere to write it; one sentence."""


@dataclass(frozen=True)
class ResultRows:
    """Batches have the columns path and label (text) and features (lists of float32)."""

    address: str
    count: int
    """Rows that there are, as the result itself says."""
    batches: Iterator[pa.RecordBatch]


def rows_in_folder(folder: Path) -> ResultRows:
    """Of a folder as ``make run`` leaves it; ``ExportError`` where it holds no result."""
    files = sorted(folder.joinpath("pca_output").glob("*.parquet"))
    if not files:
        raise ExportError(
            f"{folder} holds no result, {folder}/pca_output has no Parquet file: run `make run`, or name "
            "another with --result."
        )
    try:
        count = sum(pq.read_metadata(file).num_rows for file in files)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(folder, error) from error
    return ResultRows(str(folder), count, _batches_of(folder, files))


def rows_in_bucket(s3: Any, bucket: str) -> ResultRows:
    """Of the result to which the bucket's pointer leads; ``ExportError`` where there is none."""
    pointer = read_pointer(s3, bucket).pointer
    if pointer is None:
        raise ExportError(f"s3://{bucket} has no result, {LATEST_KEY} is not there: start a run.")
    if "rows" not in pointer:
        raise ExportError(f"The result of s3://{bucket} is of an older version: start a run.")
    layout = RunLayout(bucket, pointer["run_key"])
    batches = batches_under(s3, bucket, layout.pca_output, _COLUMNS)
    return ResultRows(layout.uri(layout.pca_output), pointer["rows"], batches)


def _batches_of(folder: Path, files: list[Path]) -> Iterator[pa.RecordBatch]:
    try:
        for file in files:
            yield from batches_in(file, _COLUMNS)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: Exception) -> ExportError:
    return ExportError(f"{folder} cannot be read ({str(error).splitlines()[0]}): run `make run` again.")
