"""The matrix of a PCA model as Spark ML stores it, told apart by its SHA-256."""

import hashlib
import sys
from array import array
from typing import Any

from fruit_pipeline.errors import UnreadableError
from fruit_pipeline.results.tables import batches_under


def fingerprint(s3: Any, bucket: str, model: str) -> str:
    """SHA-256 of the matrix below the prefix ``model``, float64 and little-endian, row by row, hex.

    ``UnreadableError`` where there is no dense matrix.
    """
    for batch in batches_under(s3, bucket, f"{model}data/", ["pc"]):
        for matrix in batch.column("pc").to_pylist():
            rows, columns, values = matrix["numRows"], matrix["numCols"], matrix["values"]
            if len(values) == rows * columns:
                # Spark stores it column by column, unless it says that it is transposed.
                in_order = values if matrix["isTransposed"] else _by_rows(values, rows)
                return hashlib.sha256(_bytes(in_order)).hexdigest()
    raise UnreadableError(bucket, model, "it has no dense matrix of components")


def _by_rows(values: list[float], rows: int) -> list[float]:
    return [value for row in range(rows) for value in values[row::rows]]


def _bytes(values: list[float]) -> bytes:
    stored = array("d", values)
    if sys.byteorder == "big":
        stored.byteswap()
    return stored.tobytes()
