"""The current result as a photo is compared with it: its model, its PCA and its rows, without Spark."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fruit_contract.layout import REPORT_NAME, split_uri
from fruit_contract.report_schema import ModelFacts
from fruit_spark.classifier.layers import Float64
from fruit_spark.pca.stored_model import read_matrix
from fruit_spark.predict.classifier import check_facts, whole
from fruit_spark.predict.classifier_source import read_pointer
from fruit_spark.predict.near import Near, nearest
from fruit_spark.step_errors import StepError
from fruit_spark.storage.driver_tables import batches_of, open_table
from fruit_spark.storage.get import get_bytes
from fruit_spark.storage.s3 import is_s3


@dataclass(frozen=True)
class Result:
    facts: ModelFacts
    """Of the model that its features are of."""
    matrix: Float64
    """[1280, k]: features times it are components."""
    rows: str
    """The address of its Parquet files."""

    def nearest_to(self, components: Float64) -> list[Near]:
        """The photos nearest to ``components`` [k], the nearest first; ``StepError`` if there are none."""
        with _readable(self.rows):
            return nearest(batches_of(open_table(self.rows), ["path", "label", "features"]), components)


def read_result(address: str) -> Result:
    """The result in a folder, as ``make run`` leaves it, or the current one of ``s3://bucket``.

    ``StepError`` where it is not whole.
    """
    if is_s3(address):
        named, model, matrix, rows = _of_bucket(address)
    else:
        named, model = _of_folder(address)
        matrix, rows = (str(Path(address, name).absolute()) for name in ("pca_model", "pca_output"))
    with whole(named):
        check_facts(model)
    with _readable(matrix):
        return Result(model, read_matrix(matrix), rows)


def _of_bucket(address: str) -> tuple[str, ModelFacts, str, str]:
    try:
        bucket, key = split_uri(address)
    except ValueError as problem:
        raise StepError(str(problem)) from problem
    if key.strip("/"):
        raise StepError(f"{address} is more than a bucket: name s3://{bucket}, whose current result counts.")
    pointer: dict[str, Any] = read_pointer(bucket)
    with whole(f"The pointer of s3://{bucket}"):
        return f"The pointer of s3://{bucket}", pointer["model"], pointer["pca_model"], pointer["pca_output"]


def _of_folder(folder: str) -> tuple[str, ModelFacts]:
    report = str(Path(folder, REPORT_NAME))
    content = get_bytes(report)
    if content is None:
        raise StepError(f"{folder} holds no result, {report} is not there: run `make run`, or name another.")
    with whole(report):
        model: ModelFacts | None = json.loads(content)["model"]
    if model is None:
        raise StepError(f"{report} is of a run that has no result: name another, or `make run` again.")
    return report, model


@contextmanager
def _readable(address: str) -> Iterator[None]:
    """What Arrow has against a table as one sentence."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, KeyError) as problem:
        said = (str(problem).splitlines() or [type(problem).__name__])[0].strip().rstrip(".")
        raise StepError(f"{address} could not be read ({said}): start a run, then try again.") from problem
