"""docker-compose.yaml shows no port, key or folder to those who have no business with it.

What it does when it is brought up is tested by `make compose-test`.
"""

import base64
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_run import seed
from local_run.seed import NotLocalError
from tests.conftest import REPOSITORY

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ONE_SHOT = {"make-secrets", "airflow-init", "airflow-cli", "local-account"}
LOCAL = {"local-aws", "local-account"}
services = pytest.mark.parametrize("service", SERVICES)


def settings(name: str) -> dict[str, str]:
    """An env file, as Compose reads it."""
    lines = (REPOSITORY / name).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


@services
def test_a_port_is_published_on_loopback_alone(service: str) -> None:
    for port in SERVICES[service].get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{service} publishes {port}: put 127.0.0.1: before it"


@services
def test_nothing_runs_as_root_or_without_a_limit_of_memory(service: str) -> None:
    # AIRFLOW_UID may be another; the group is 0, the image's rule.
    user = SERVICES[service]["user"].replace("${AIRFLOW_UID:-50000}", "50000")
    assert not user.startswith("0"), f"{service} runs as root: give it a user"
    assert "mem_limit" in SERVICES[service], f"{service} has no mem_limit"
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert SERVICES[service]["security_opt"] == ["no-new-privileges:true"]


@services
def test_what_should_stay_up_is_restarted_and_watched(service: str) -> None:
    if service in ONE_SHOT:
        assert SERVICES[service].get("restart", "no") == "no"
    else:
        assert SERVICES[service]["restart"] == "unless-stopped"
        assert "healthcheck" in SERVICES[service] or service == "loopback"


@services
def test_the_checkout_is_mounted_read_only(service: str) -> None:
    for volume in SERVICES[service].get("volumes", []):
        if volume.startswith("."):
            assert volume.endswith(":ro"), f"{service} can write {volume}: end it with :ro"


def test_an_image_from_elsewhere_has_a_version() -> None:
    text = (REPOSITORY / "deploy" / "docker" / "Dockerfile").read_text()
    stages = set(re.findall(r"AS (\S+)", text))
    named = set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) - stages
    named |= {each["image"] for each in SERVICES.values()}
    for image in named:
        assert re.search(r":[\w.-]*\d", image), f"{image} has no version: it would change by itself"
    assert "apache/airflow:slim-3.3.2-python3.11" in named


def test_local_aws_is_there_by_default_and_absent_with_an_account() -> None:
    assert {name for name, each in SERVICES.items() if each.get("profiles") == ["local-aws"]} == LOCAL
    assert settings(".env")["COMPOSE_PROFILES"] == "local-aws"
    account = settings("deploy/docker/aws.env.example")
    assert account["COMPOSE_PROFILES"] == ""
    assert not [name for name in account if "ENDPOINT" in name]


def test_no_file_of_an_account_has_room_for_keys() -> None:
    account = (REPOSITORY / "deploy" / "docker" / "aws.env.example").read_text()
    assert not re.search(r"ACCESS_KEY|SECRET|TOKEN|PASSWORD", account)
    # The local one's are plainly no keys, and go to loopback.
    local = settings(".env")
    assert local["AWS_ACCESS_KEY_ID"] == local["AWS_SECRET_ACCESS_KEY"] == "testing"
    assert all(local[name].startswith("http://127.0.0.1:") for name in local if "ENDPOINT" in name)


def test_no_secret_is_written_in_the_file() -> None:
    for service, each in SERVICES.items():
        for name, value in each.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|CONN", name):
                assert name.endswith(("_CMD", "_FILE")), f"{service} has {name}={value}: read it from a file"


def test_secrets_are_made_once_and_are_all_different(tmp_path: Path) -> None:
    make = runpy.run_path(str(REPOSITORY / "deploy" / "docker" / "make_secrets.py"))["main"]
    airflow, database = tmp_path / "airflow", tmp_path / "database"
    airflow.mkdir()
    database.mkdir()
    make(airflow, database)
    first = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    make(airflow, database)
    assert first == {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(set(first.values())) == len(first) == 6
    assert first[database / "password"] in first[airflow / "database_url"]
    assert len(base64.urlsafe_b64decode(first[airflow / "fernet_key"])) == 32
    for path in airflow.iterdir():
        assert path.stat().st_mode & 0o007 == 0, f"{path.name} can be read by others"


@pytest.mark.parametrize("url", [None, "", "https://s3.eu-west-1.amazonaws.com", "http://local-aws:5000"])
def test_an_account_that_is_not_local_is_never_filled_with_photos(url: str | None) -> None:
    with pytest.raises(NotLocalError, match="not on this machine"):
        seed.check_is_local(url)


def test_the_local_account_of_the_env_file_is_accepted() -> None:
    seed.check_is_local(settings(".env")["AWS_ENDPOINT_URL"])


_AIRFLOW = """#!{python}
import getpass, json, sys
if sys.argv[1] == "users":
    # As the provider asks for a password that no option gives.
    answers = [getpass.getpass(prompt) for prompt in ("Password:", "Repeat for confirmation:")]
    print(json.dumps([sys.argv[1:], answers]))
"""


def test_the_password_of_the_admin_is_on_no_command_line(tmp_path: Path) -> None:
    (tmp_path / "admin_password").write_text("s3cret $(word)")
    airflow = tmp_path / "airflow"
    airflow.write_text(_AIRFLOW.format(python=sys.executable))
    airflow.chmod(0o755)
    script = (REPOSITORY / "deploy" / "docker" / "init.sh").read_text()
    done = subprocess.run(
        ["bash", "-c", script.replace("/opt/airflow/secrets", str(tmp_path))],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    words, answers = json.loads(done.stdout.splitlines()[-1])
    assert answers == ["s3cret $(word)"] * 2
    assert not [word for word in words if "s3cret" in word or "password" in word]
