"""The Spark session of a step: what the steps need, and nothing that the cluster decides better."""

import atexit
import shutil
import sys
import tempfile
import time
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import fruit_contract
import fruit_spark
from fruit_contract.report_schema import Work
from fruit_spark.storage.hadoop import jvm
from fruit_spark.storage.s3 import s3_endpoint, s3_region

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# One task, one core, one thread: the BLAS and OpenMP pools of every worker stay out of each other's way.
ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
ROWS_PER_ARROW_BATCH: Final = 256


def start_session(name: str) -> "SparkSession":
    """A session with this step's settings; master and resources are ``spark-submit``'s."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(name)
    for variable in ONE_THREAD:
        builder = builder.config(f"spark.executorEnv.{variable}", "1")
    builder = builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_ARROW_BATCH))
    builder = builder.config("spark.ui.showConsoleProgress", "false")
    session = builder.getOrCreate()
    _use_endpoint_of_environment(session)
    _ship_code(session)
    return session


def _use_endpoint_of_environment(session: "SparkSession") -> None:
    """S3A does not read AWS_ENDPOINT_URL, as the AWS tools do: pass it on where none is configured."""
    endpoint = s3_endpoint()
    if endpoint and session.sparkContext.getConf().get("spark.hadoop.fs.s3a.endpoint") is None:
        configuration = session.sparkContext._jsc.hadoopConfiguration()
        configuration.set("fs.s3a.endpoint", endpoint)
        # Left out, the SDK waits for the region from the instance metadata, which only EC2 has.
        configuration.set("fs.s3a.endpoint.region", s3_region())
        configuration.set("fs.s3a.path.style.access", "true")
        configuration.set("fs.s3a.connection.ssl.enabled", str(endpoint.startswith("https")).lower())


def _ship_code(session: "SparkSession") -> None:
    """Send both packages to the workers when the step runs from a checkout, without --py-files."""
    folders = [Path(package.__path__[0]) for package in (fruit_spark, fruit_contract)]
    if not all(folder.is_dir() for folder in folders):
        return  # already imported from an archive that Spark ships
    # Tasks copy it from here for as long as the session lives: removed when the driver ends.
    scratch = tempfile.mkdtemp(prefix="fruit-code-")
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    archive = Path(scratch) / "fruit_code.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for folder in folders:
            for file in sorted(folder.rglob("*.py")):
                packed.write(file, file.relative_to(folder.parent))
    session.sparkContext.addPyFile(str(archive))


def seconds_since_launch(session: "SparkSession") -> float:
    """Wall-clock seconds since the driver's JVM started: Spark's own start-up is part of a step."""
    started = jvm(session).java.lang.management.ManagementFactory.getRuntimeMXBean().getStartTime()
    return time.time() - int(started) / 1000


def work_done(session: "SparkSession") -> Work:
    """What the executors have worked, those that are gone included."""
    kind = jvm(session).java.lang.Class.forName("org.apache.spark.status.ExecutorSummaryWrapper")
    # Not the store's own list of executors: on local cores it has the age of the application there.
    executors, milliseconds = session.sparkContext._jsc.sc().statusStore().store().view(kind).iterator(), 0
    while executors.hasNext():
        milliseconds += executors.next().info().totalDuration()
    return Work(cores=session.sparkContext.defaultParallelism, task_seconds=round(milliseconds / 1000, 3))


def versions(session: "SparkSession", *distributions: str) -> dict[str, str]:
    """Python, Spark, and the packages named, as far as they are installed as distributions."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "spark": session.version}
    for distribution in distributions:
        try:
            found[distribution] = version(distribution)
        except PackageNotFoundError:
            continue
    return found
