"""The Amazon provider's own system test of EMR passes as it is, on a real Airflow."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from botocore.client import BaseClient

from tests.clients.conftest import CLIENTS, PROGRAMS, Run, failures
from tests.conftest import REPOSITORY

ROLE = "arn:aws:iam::123456789012:role/step"


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    """Folders for PYTHONPATH: the provider's tests, and what they import of Airflow's own."""
    lock = REPOSITORY / "requirements" / "provider-tests.txt"
    command = [CLIENTS / "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["--no-binary", "apache-airflow-providers-amazon", "--require-hashes", "--requirement", lock]
    done = subprocess.run([*command, "--dest", tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [source] = tmp_path.glob("apache_airflow_providers_amazon-*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path)
    [common] = tmp_path.glob("apache_airflow_devel_common-*.whl")
    with zipfile.ZipFile(common) as wheel:
        wheel.extractall(tmp_path / "common")
    return [source.with_suffix("").with_suffix("") / "tests", tmp_path / "common"]


def test_the_system_test_of_emr_passes(
    emr: BaseClient, run: Run, sources: list[Path], tmp_path: Path
) -> None:
    airflow = {
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(sources[0] / "system" / "amazon" / "aws"),
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
        "EXECUTION_ROLE_ARN": ROLE,
    }
    run(sys.executable, "-m", "airflow", "db", "migrate", **airflow)
    run(sys.executable, PROGRAMS / "provider_dag.py", **airflow)
    [cluster] = emr.list_clusters()["Clusters"]
    assert cluster["Status"]["State"] == "TERMINATED"
    assert failures(emr, cluster["Id"]) == []
