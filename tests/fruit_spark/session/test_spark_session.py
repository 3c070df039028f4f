"""Promise: a step sends its workers every module of a checkout, and tells what they have worked."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_spark.session import spark_session
from fruit_spark.storage.hadoop import jvm
from tests.conftest import modules_of_the_steps

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_checkout_is_shipped_whole(spark: "SparkSession") -> None:
    from pyspark import SparkFiles

    # The other tests leave it out, and their workers find the checkout as it is installed here.
    spark_session._ship_code(spark)
    shipped = zipfile.ZipFile(Path(SparkFiles.get("fruit_code.zip"))).namelist()
    assert set(shipped) == modules_of_the_steps()


def test_what_was_worked_is_that_of_all_tasks_and_does_not_grow_with_time(spark: "SparkSession") -> None:
    scala = spark.sparkContext._jsc.sc()
    kind = jvm(spark).java.lang.Class.forName("org.apache.spark.status.TaskDataWrapper")

    def tasks() -> dict[int, int]:
        """The milliseconds of each task that Spark remembers, by its id."""
        # Spark writes them down in a thread of its own.
        scala.listenerBus().waitUntilEmpty()
        found, durations = scala.statusStore().store().view(kind).iterator(), {}
        while found.hasNext():
            task = found.next()
            durations[task.taskId()] = task.duration()
        return durations

    known, before = tasks(), spark_session.work_done(spark)
    for rows in (9, 9_000_000, 9):
        assert spark.range(rows).count() == rows
    new = [each for task, each in tasks().items() if task not in known]
    assert len(new) > 3
    worked = spark_session.work_done(spark)
    assert worked["cores"] == spark.sparkContext.defaultParallelism
    assert round(1000 * (worked["task_seconds"] - before["task_seconds"])) == sum(new)
    until = jvm(spark).java.lang.System.currentTimeMillis() + 50
    while jvm(spark).java.lang.System.currentTimeMillis() < until:
        assert spark_session.work_done(spark) == worked
