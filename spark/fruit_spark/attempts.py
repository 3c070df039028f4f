"""Take up where an earlier attempt at the same work stopped.

Each task commits its one Parquet file to the output by itself, with Hadoop's file committer,
algorithm 2: a file is there whole or not at all, and stays when the step dies. The rows found there
count as done if the output was begun for the same work list and the same model; else it is emptied.

Algorithm 2 is unsafe for tasks with several files, which it moves one after the other. Here there is
one file a task, and its name has no attempt number: a task that runs again replaces its own file.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from fruit_spark import storage

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Spark's readers pass over names that begin with an underscore.
ATTEMPT_FILE: Final = "_attempt.json"
# The S3A committers publish every file at the end of the job: then nothing would be left of a dead one.
COMMIT_BY_TASK: Final = {
    "mapreduce.fileoutputcommitter.algorithm.version": "2",
    "fs.s3a.committer.name": "file",
}


@dataclass(frozen=True)
class Plan:
    """What makes two attempts the same work: their rows would be equal."""

    images: int
    work_list: str
    """Sum of the hashes of address, ETag and size of every image."""
    model: str
    """SHA-256 of the model file, hex."""
    engine: str
    image_size: int
    reader: str


def not_done_yet(spark: "SparkSession", images: "DataFrame", features: str, plan: Plan) -> "DataFrame":
    """The images without a row in ``features``: ``images`` itself where the work has to begin anew."""
    attempt = _attempt_file(features)
    if storage.exists(spark, attempt) and json.loads(storage.read_bytes(spark, attempt)) == asdict(plan):
        done = spark.read.schema("path string").parquet(storage.hadoop_uri(spark, features))
        return images.join(done, images["uri"] == done["path"], "left_anti")
    storage.delete(spark, features)
    storage.write_json(spark, attempt, asdict(plan))
    return images


def write_by_task(spark: "SparkSession", rows: "DataFrame", features: str) -> None:
    """Add the rows to ``features``: each task's file appears there when the task is done."""
    writer = rows.write.mode("append").options(**COMMIT_BY_TASK)
    writer.parquet(storage.hadoop_uri(spark, features))


def forget_attempt(spark: "SparkSession", features: str) -> None:
    """Make the next attempt begin anew."""
    storage.delete(spark, _attempt_file(features))


def _attempt_file(features: str) -> str:
    return f"{features.rstrip('/')}/{ATTEMPT_FILE}"
