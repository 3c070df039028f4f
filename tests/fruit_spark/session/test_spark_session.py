"""Promise: a step that runs from a checkout sends every module of its packages to Spark's workers."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from fruit_spark.session import spark_session
from tests.conftest import modules_of_the_steps

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_the_checkout_is_shipped_whole(spark: "SparkSession") -> None:
    from pyspark import SparkFiles

    # The other tests leave it out, and their workers find the checkout as it is installed here.
    spark_session._ship_code(spark)
    shipped = zipfile.ZipFile(Path(SparkFiles.get("fruit_code.zip"))).namelist()
    assert set(shipped) == modules_of_the_steps()
