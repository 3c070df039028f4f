"""docker-compose.yaml brought up once for all tests, as a project of its own, by whatever is at hand for it.

That is Docker Compose where there is a Docker engine, else ``compose-standin`` (podman in its place): on
PATH, or in ``../shared/tools``. Without either the tests are skipped.
"""

import json
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import httpx
import pytest

from local_run.airflow_server import free_port
from tests.conftest import REPOSITORY

STANDIN: Final = REPOSITORY.parent / "shared" / "tools" / "compose-standin" / "compose-standin"
PROJECT_LABEL: Final = "com.docker.compose.project"
_UP_SECONDS: Final = 1800
"""The images are built the first time."""
_IN_LOCAL_AWS: Final = """
import json
import boto3
from local_aws.control import Control
from local_aws.emr.outside_events import Hold, Release

PORTS = {"emr": 5001, "s3": 5000}
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "eu-west-1"}

def client(service):
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{PORTS[service]}", **KEYS)

control = Control("http://127.0.0.1:5001")
"""
"""What the expressions of :meth:`Composed.python` find around them."""


@dataclass(frozen=True)
class Engine:
    """The two commands of one kind: compose, and what stands behind it."""

    compose: tuple[str, ...]
    engine: tuple[str, ...]


def find_engine() -> Engine | None:
    """Docker with Compose, or compose-standin, or neither."""
    if shutil.which("docker"):
        answers = [
            subprocess.run(["docker", *words], capture_output=True, check=False).returncode == 0
            for words in (("compose", "version"), ("info",))
        ]
        if all(answers):
            return Engine(("docker", "compose"), ("docker",))
    tool = shutil.which("compose-standin") or (str(STANDIN) if STANDIN.exists() else None)
    # It works as root alone, and says so at length.
    return Engine((tool,), (tool, "podman")) if tool and os.geteuid() == 0 else None


@dataclass
class Composed:
    """The running project and its API."""

    engine: Engine
    project: str
    port: int

    def compose(self, *words: str, check: bool = True) -> str:
        """One command of Compose on this project; its standard output."""
        done = subprocess.run(
            [*self.engine.compose, "-p", self.project, *words],
            cwd=REPOSITORY,
            env={**os.environ, "AIRFLOW_PORT": str(self.port)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_UP_SECONDS,
        )
        assert not check or done.returncode == 0, f"{' '.join(words)}: {(done.stdout + done.stderr)[-4000:]}"
        return done.stdout

    def ask(self, *words: str) -> str:
        """One command of the engine."""
        return subprocess.run(
            [*self.engine.engine, *words], capture_output=True, text=True, check=True
        ).stdout

    def inside(self, service: str, *words: str) -> str:
        """A command in the container of a service; its standard output."""
        return self.compose("exec", "-T", service, *words)

    def python(self, expression: str) -> Any:
        """What an expression gives inside local AWS's container, the one from where it is reached."""
        program = f"{_IN_LOCAL_AWS}\nprint(json.dumps({expression}))"
        return json.loads(self.inside("local-aws", "python", "-c", program).splitlines()[-1])

    def left(self) -> dict[str, list[str]]:
        """Containers, volumes and networks of the project that exist."""
        label = f"label={PROJECT_LABEL}={self.project}"
        return {
            "containers": self.ask("ps", "--all", "--quiet", "--filter", label).split(),
            "volumes": self.ask("volume", "ls", "--quiet", "--filter", label).split(),
            "networks": self.ask("network", "ls", "--quiet", "--filter", label).split(),
        }

    def client(self, token: str = "") -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=30)

    def log_in(self, password: str) -> httpx.Response:
        with self.client() as client:
            return client.post("/auth/token", json={"username": "admin", "password": password})

    def password(self) -> str:
        return self.inside("airflow-apiserver", "cat", "/opt/airflow/secrets/admin_password").strip()


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 240) -> Any:
    """The condition's first true value; where none comes, the last one or connection error is told."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            last = condition()
        except httpx.TransportError as error:
            last = error
        else:
            if last:
                return last
        time.sleep(0.5)
    pytest.fail(f"{what} did not come within {seconds:.0f} s; the last answer was {last!r}.")


@pytest.fixture(scope="session")
def composed() -> Iterator[Composed]:
    engine = find_engine()
    if engine is None:
        pytest.skip(
            "Neither Docker Compose nor compose-standin is here: docker-compose.yaml was not brought up."
        )
    project = Composed(engine, f"fruits-{uuid.uuid4().hex[:8]}", free_port())
    try:
        project.compose("up", "--detach", "--wait", "--build")
        yield project
    finally:
        project.compose("down", "--volumes", check=False)
