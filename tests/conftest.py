"""Both environments run their tests from the top of the repository, and write nowhere else."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

# A developer's profile or token is nothing to the tests, and what starts AWS's clients here would obey it.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
# Airflow and Keras make a folder in the home directory when they are first imported.
os.environ["AIRFLOW_HOME"] = str(REPOSITORY / ".state" / "tests" / "airflow")
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(REPOSITORY / "dags")
os.environ["AIRFLOW__CORE__PLUGINS_FOLDER"] = str(REPOSITORY / "plugins")
os.environ["KERAS_HOME"] = str(REPOSITORY / ".cache" / "keras")

# How many examples a property is tried with, where its test does not say: see `--hypothesis-profile`.
# Few and some are the same ones every time: what turns red is of the change. `make test-all` seeks new ones.
with suppress(ImportError):  # the Spark side has no properties
    from hypothesis import settings

    for name, examples in {"few": 10, "some": 25, "many": 100}.items():
        settings.register_profile(name, max_examples=examples, deadline=None, derandomize=name != "many")
    settings.load_profile("some")


@pytest.fixture(scope="session")
def shipped_python() -> Path:
    """The archive of the Python for emr-6, of this machine's processor."""
    from artifacts import archives, debian, interpreter

    try:
        return interpreter.build(REPOSITORY / ".cache" / "runtime", archives.this_platform())[0]
    except debian.NoDebianError as missing:
        pytest.skip(str(missing))


def modules_of_the_steps() -> set[str]:
    """Every module that a step imports from this repository, as an archive names it.

    An archive must be whole: what it lacks the steps find in the checkout here, and nowhere on EMR.
    """
    folders = (REPOSITORY / "spark" / "fruit_spark", REPOSITORY / "plugins" / "fruit_contract")
    return {path.relative_to(folder.parent).as_posix() for folder in folders for path in folder.rglob("*.py")}
