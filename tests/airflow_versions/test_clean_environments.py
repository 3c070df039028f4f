"""The DAGs import with nothing but what Amazon MWAA installs, and on the oldest Airflow that is supported.

Each environment is built from its lock file, apart from this repository's own; of the repository it sees
what it would see there: for MWAA the unpacked bundle, for the other the folders as they are. MWAA's
Python is 3.12; the environments here have this one's.
"""

import json
import os
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from infra.mwaa import AIRFLOW_VERSION, OPTIONS, PLUGINS, MissingPartError, Parts, build
from tests.conftest import REPOSITORY

UV = REPOSITORY / ".venv" / "tools" / "bin" / "uv"
OUTPUTS = {
    "Bucket": "fruits-classification-p9-test",
    "Region": "eu-west-1",
    "AirflowRoleArn": "arn:aws:iam::ACCOUNT:role/fruit-features-AirflowRole",
    "ServiceRole": "fruit-features-ServiceRole",
    "InstanceProfile": "fruit-features-NodeProfile",
    "Installation": "fruits",
}
PROBE, WALK = (Path(__file__).with_name(f"{name}.py") for name in ("probe", "walk"))


def environment(folder: Path, lock: str, requirements: Path | None = None) -> Path:
    """The interpreter of a new environment with a lock file's packages, and with ``requirements`` on top."""
    python = folder / "bin" / "python"
    uv("venv", "--python", sys.executable, str(folder))
    locked = REPOSITORY / "requirements" / lock
    uv("pip", "install", "--python", str(python), "--require-hashes", "--requirement", str(locked))
    if requirements is not None:
        # As MWAA does it: under the constraints of what is there.
        more = ("--requirement", str(requirements), "--constraint", str(locked))
        uv("pip", "install", "--python", str(python), *more)
    return python


def uv(*arguments: str) -> None:
    done = subprocess.run([UV, "--quiet", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def probe(
    python: Path, dags: Path, plugins: Path, home: Path, program: Path = PROBE, **variables: str
) -> dict[str, Any]:
    """What a program says: ``PROBE`` what Airflow finds in the folders, versions, DAGs, errors, artifacts."""
    settings = {
        "PATH": os.environ["PATH"],
        "PYTHONDONTWRITEBYTECODE": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins),
        **variables,
    }
    done = subprocess.run(
        [python, str(program)], env=settings, cwd=home.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


PAGES = ["/compare", "/download", "/image", "/photo", "/result", "/runs", "/try"]
"""What the plugin adds to Airflow's UI."""


def dag_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.py"))


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """A checkout whose artifacts are stand-ins: their content does not matter to Airflow."""
    checkout = tmp_path_factory.mktemp("checkout")
    for folder in ("dags", "plugins", "spark", "notebooks", "requirements"):
        (checkout / folder).symlink_to(REPOSITORY / folder)
    (checkout / ".cache" / "model").mkdir(parents=True)
    (checkout / ".cache" / "model" / "model.json").write_text("{}")
    (checkout / ".cache" / "runtime").mkdir()
    for name in ("runtime", "python"):
        (checkout / ".cache" / "runtime" / f"{name}-aarch64.tar.gz").write_bytes(name.encode())
    return Parts(checkout)


@pytest.fixture(scope="module")
def bundle(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("out") / "mwaa"
    build(parts, OUTPUTS, output)
    return output


def test_the_dags_import_with_what_mwaa_installs(bundle: Path, tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    with zipfile.ZipFile(bundle / "plugins.zip") as archive:
        archive.extractall(plugins)
    exported = variables_of(bundle / "startup.sh")
    settings = {name: value.replace(str(PLUGINS), str(plugins)) for name, value in exported.items()}
    python = environment(tmp_path / "env", "mwaa-image.txt", bundle / "requirements.txt")
    found = probe(python, bundle / "dags", plugins, tmp_path / "home", **settings)
    assert found["airflow"] == AIRFLOW_VERSION
    assert found["errors"] == {}
    assert found["files"] == dag_files(REPOSITORY / "dags")
    assert found["pages"] == PAGES
    assert found["missing"] == []
    assert found["bucket"] == OUTPUTS["Bucket"]


def test_the_dags_import_and_the_pages_answer_on_the_oldest_airflow(tmp_path: Path) -> None:
    python = environment(tmp_path / "env", "airflow-oldest.txt")
    found = probe(python, REPOSITORY / "dags", REPOSITORY / "plugins", tmp_path / "home")
    assert found["airflow"] == "3.2.0"
    assert found["errors"] == {}
    assert found["files"] == dag_files(REPOSITORY / "dags")
    assert found["pages"] == PAGES
    users = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(tmp_path / "passwords.json"),
    }
    answers = probe(python, REPOSITORY / "dags", REPOSITORY / "plugins", tmp_path / "home", WALK, **users)
    no_run = [401, 404, "There is no run 'none' of fruit_features."]
    assert answers.pop("GET /runs")[:2] == [401, 200]
    assert answers == dict.fromkeys(
        [f"{'POST' if path == '/try' else 'GET'} {path}" for path in PAGES if path != "/runs"], no_run
    )


def variables_of(script: Path) -> dict[str, str]:
    """What a startup script exports, as a shell understands it."""
    shell = f"set -a; . {shlex.quote(str(script))}; env -0"
    done = subprocess.run(["env", "-i", "/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
    found = dict(each.split("=", 1) for each in done.stdout.split("\0") if each)
    return {name: value for name, value in found.items() if name not in ("PWD", "SHLVL", "_", "OLDPWD")}


def test_the_startup_script_leaves_alone_what_mwaa_sets_itself(bundle: Path) -> None:
    exported = variables_of(bundle / "startup.sh")
    assert "AWS_DEFAULT_REGION" not in exported
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in exported
    assert exported["FRUITS_AWS_CONN_ID"] == "fruits"
    assert exported["AIRFLOW_CONN_FRUITS"].startswith("aws://?role_arn=arn%3Aaws%3Aiam")
    assert json.loads((bundle / "options.json").read_text()) == OPTIONS


def test_the_same_checkout_gives_the_same_bundle(parts: Parts, bundle: Path, tmp_path: Path) -> None:
    for path in build(parts, OUTPUTS, tmp_path / "again"):
        assert (bundle / path.relative_to(tmp_path / "again")).read_bytes() == path.read_bytes(), path.name


def test_a_part_that_was_not_built_is_named_with_how_to_build_it(tmp_path: Path) -> None:
    (tmp_path / "spark").mkdir()
    with pytest.raises(MissingPartError, match=r"model is missing: run `make setup`"):
        build(Parts(tmp_path), OUTPUTS, tmp_path / "out")
