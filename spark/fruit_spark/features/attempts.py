"""Continue where an earlier attempt at the same work stopped.

Each task puts its one Parquet file into the output by itself: it is there whole or not at all, and
stays when the step dies. The rows found there count as done if the output was begun for the same work
list and the same model; else it is emptied.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from fruit_contract.layout import ATTEMPT_NAME
from fruit_spark.session.without_pandas import map_in_arrow
from fruit_spark.storage import hadoop
from fruit_spark.storage.part_files import ROWS_DDL, Batches, write_parts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Plan:
    """What makes two attempts the same work: their rows would be equal."""

    images: int
    work_list: str
    """The work list's identity."""
    model: str
    """SHA-256 of the model file, hex."""
    engine: str
    image_size: int
    reader: str


def not_done_yet(spark: "SparkSession", images: "DataFrame", features: str, plan: Plan) -> "DataFrame":
    """The images without a row in ``features``: ``images`` itself where the work has to begin anew."""
    attempt = _attempt_file(features)
    if hadoop.exists(spark, attempt) and json.loads(hadoop.read_bytes(spark, attempt)) == asdict(plan):
        done = spark.read.schema("path string").parquet(hadoop.hadoop_uri(spark, features))
        return images.join(done, images["uri"] == done["path"], "left_anti")
    hadoop.delete(spark, features)
    hadoop.write_json(spark, attempt, asdict(plan))
    return images


def write_by_task(frame: "DataFrame", function: Callable[[Batches], Batches], features: str) -> None:
    """Add what ``function`` makes of the frame to ``features``: each task's file when the task is done."""
    writing = write_parts(function, features, repetitive=("label", "reason", "taken"))
    map_in_arrow(frame, writing, ROWS_DDL).collect()


def forget_attempt(spark: "SparkSession", features: str) -> None:
    """Make the next attempt begin anew."""
    hadoop.delete(spark, _attempt_file(features))


def _attempt_file(features: str) -> str:
    return f"{features.rstrip('/')}/{ATTEMPT_NAME}"
