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


def test_what_was_worked_grows_with_tasks_and_not_with_time(spark: "SparkSession") -> None:
    worked = spark_session.work_done(spark)
    for _ in range(3):
        before = worked
        assert spark.range(9_000_000).count() == 9_000_000
        # Spark writes it down in a thread of its own.
        spark.sparkContext._jsc.sc().listenerBus().waitUntilEmpty()
        worked = spark_session.work_done(spark)
        assert worked["task_seconds"] > before["task_seconds"]
    assert worked["cores"] == spark.sparkContext.defaultParallelism
    clock = jvm(spark).java.lang.System
    until = clock.currentTimeMillis() + 50
    while clock.currentTimeMillis() < until:
        assert spark_session.work_done(spark) == worked
