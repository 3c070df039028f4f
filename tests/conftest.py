"""Both environments run their tests from the top of the repository, and write nowhere else."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

for folder in (REPOSITORY / "plugins", REPOSITORY):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# Airflow and Keras make a folder in the home directory when they are first imported.
os.environ["AIRFLOW_HOME"] = str(REPOSITORY / ".state" / "tests" / "airflow")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(REPOSITORY / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
os.environ["KERAS_HOME"] = str(REPOSITORY / ".cache" / "keras")


@pytest.fixture(scope="session")
def shipped_python() -> Path:
    """The archive of the Python for emr-6, of this machine's processor."""
    from artifacts import archives, debian, interpreter

    try:
        return interpreter.build(REPOSITORY / ".cache" / "runtime", archives.this_platform())[0]
    except debian.NoDebianError as missing:
        pytest.skip(str(missing))
