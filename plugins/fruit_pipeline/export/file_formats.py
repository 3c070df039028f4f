"""The files that an export writes, by the suffix of the name that was asked for."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from fruit_pipeline.results.csv_cells import defused


@dataclass(frozen=True)
class Block:
    """Some rows."""

    paths: pa.Array
    labels: pa.Array
    components: npt.NDArray[np.float32]
    """[n, k]."""


@dataclass(frozen=True)
class Table:
    """All rows, to be read once."""

    rows: int
    components: int
    """k."""
    blocks: Iterator[Block]


def write_csv(table: Table, file: Path) -> None:
    """A column a component, in the fewest digits that give the same float32."""
    names = [f"c{place}" for place in range(1, table.components + 1)]
    schema = _text_schema([(name, pa.float32()) for name in names])
    with _csv_writer(file, schema) as writer:
        for block in table.blocks:
            columns = [pa.array(column) for column in np.ascontiguousarray(block.components.T)]
            writer.write(pa.record_batch([*_cells(block), *columns], schema=schema))


def write_parquet(table: Table, file: Path) -> None:
    """The columns of the result itself: path, label, features."""
    schema = _text_schema([("features", pa.list_(pa.float32()))])
    with pq.ParquetWriter(file, schema, compression="zstd", write_page_checksum=True) as writer:
        for block in table.blocks:
            rows, count = block.components.shape
            offsets = pa.array(np.arange(0, rows * count + 1, count, dtype=np.int32))
            features = pa.ListArray.from_arrays(offsets, pa.array(block.components.ravel()))
            writer.write_batch(pa.record_batch([block.paths, block.labels, features], schema=schema))


def write_npy(table: Table, matrix: Path, names: Path) -> None:
    """A float32 matrix [rows, k], and beside it path and label of each of its rows as CSV."""
    schema = _text_schema([])
    with matrix.open("wb") as stream, _csv_writer(names, schema) as writer:
        shape = (table.rows, table.components)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)  # type: ignore[no-untyped-call]
        for block in table.blocks:
            stream.write(block.components.astype("<f4", copy=False).tobytes())
            writer.write(pa.record_batch(_cells(block), schema=schema))


FORMATS: Final[dict[str, Callable[..., None]]] = {
    ".csv": write_csv,
    ".parquet": write_parquet,
    ".npy": write_npy,
}
"""Each writes a table to the files of :func:`files_of`."""


def files_of(target: Path) -> tuple[Path, ...]:
    """What is written where ``target`` is asked for: of a matrix, the names of its rows as well."""
    return (target, target.with_suffix(".csv")) if target.suffix == ".npy" else (target,)


def _text_schema(more: list[tuple[str, pa.DataType]]) -> pa.Schema:
    return pa.schema([("path", pa.string()), ("label", pa.string()), *more])


def _csv_writer(file: Path, schema: pa.Schema) -> Any:
    options = pa.csv.WriteOptions(quoting_style="needed")
    return pa.csv.CSVWriter(file, schema, write_options=options)


def _cells(block: Block) -> list[pa.Array]:
    texts = (block.paths, block.labels)
    return [pa.array([defused(cell) for cell in text.to_pylist()], pa.string()) for text in texts]
