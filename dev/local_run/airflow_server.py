"""A real Airflow on loopback: scheduler, DAG processor, triggerer and API server, and its REST API."""

import contextlib
import json
import os
import random
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from tenacity import (
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
)

from local_run.processes import Child

_PORTS: Final = (10_000, 32_768)
USER: Final = "admin"
COMPONENTS: Final = ("api-server", "scheduler", "dag-processor", "triggerer")
_SCHEDULER: Final = Path(__file__).parent / "scheduler"
"""What the scheduler's process imports before others do."""
_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.5
_READY_SECONDS: Final = 180


def free_port() -> int:
    """A port of loopback that nobody listens on.

    Below those that Linux gives to clients (32768 and up): a server binds it only some seconds later, and a
    client's connection might have it by then.
    """
    while True:
        port = random.randrange(*_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class AirflowHome:
    """Where one local Airflow keeps its database and logs, and the environment it runs with."""

    home: Path
    repository: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The processes' environment: this one's, Airflow's settings, and ``extra`` (local AWS, FRUITS_*)."""
        settings = {
            "CORE__DAGS_FOLDER": str(self.repository / "dags"),
            "CORE__PLUGINS_FOLDER": str(self.repository / "plugins"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": "4",
            "CORE__FERNET_KEY": "",
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            # Nobody is admin for the asking: a page whose name means 127.0.0.1 could ask as well.
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords()),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "API__BASE_URL": self.url,
            "API__HOST": "127.0.0.1",
            "API__PORT": str(self.port),
            "API__WORKERS": "1",
            "API_AUTH__JWT_SECRET": self._once("jwt_secret", secrets.token_urlsafe(48)).read_text(),
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}",
            "LOGGING__BASE_LOG_FOLDER": str(self.home / "logs"),
            # One local Airflow has few tasks: look for work often rather than save database load.
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
            # A worker notices up to this many seconds late that its task has ended (5 by default). A
            # deferred task that is resumed before that is taken for failed by the scheduler.
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
            "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }
        return {
            **os.environ,
            **{f"AIRFLOW__{name}": value for name, value in settings.items()},
            "AIRFLOW_CONN_AWS_DEFAULT": "aws://",
            **extra,
            "AIRFLOW_HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        }

    @property
    def password(self) -> str:
        """Of ``USER``; kept as long as this home."""
        return str(json.loads(self._passwords().read_text())[USER])

    @property
    def door(self) -> str:
        """Where the UI is, and how a person gets in."""
        return f"{self.url} (user {USER}, password {self.password})"

    def _passwords(self) -> Path:
        return self._once("passwords.json", json.dumps({USER: secrets.token_urlsafe(12)}))

    def _once(self, name: str, secret: str) -> Path:
        """A file of this home alone, readable by its owner alone: as it is, or made with this content."""
        path = self.home / name
        if not path.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(secret)
        return path

    def migrate(self) -> None:
        """Create the database, or bring it to this version of Airflow."""
        self.home.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "db", "migrate"],
            env=self.environment({}),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            tail = (done.stdout + done.stderr)[-2000:]
            raise AirflowError(f"Airflow's database could not be created:\n{tail}")

    def start(self, component: str, environment: Mapping[str, str]) -> Child:
        """Start one of ``COMPONENTS``; the database must have been migrated (``airflow db migrate``)."""
        # Logs are read from the shared folder: the log servers would listen on every interface.
        quiet = ["--skip-serve-logs"] if component in ("scheduler", "triggerer") else []
        if component == "scheduler":
            first = [str(_SCHEDULER), environment.get("PYTHONPATH", "")]
            environment = {**environment, "PYTHONPATH": os.pathsep.join(filter(None, first))}
        return Child.start(
            f"Airflow's {component}",
            [sys.executable, "-m", "airflow", component, *quiet],
            environment,
            self.home / "logs" / f"{component}.log",
        )


class AirflowError(RuntimeError):
    """The local Airflow does not do what it was asked to; the message says why."""


class _NotYet(AirflowError):  # noqa: N818 - a signal between a probe and its retry, never seen outside
    """What is waited for is not there yet."""


class AirflowApi:
    """The few calls of Airflow's REST API that a run needs."""

    def __init__(self, url: str, children: list[Child], password: str = "") -> None:
        self._client = httpx.Client(base_url=url, timeout=30)
        self._children, self._password = children, password

    @property
    def token(self) -> str:
        """There from readiness on; as the cookie ``_token`` it signs a browser in."""
        return self._client.headers["Authorization"].removeprefix("Bearer ")

    def wait_until_ready(self, dag_id: str) -> None:
        """Until the API, scheduler, triggerer and DAG processor are healthy and the DAG is parsed."""
        for attempt in Retrying(
            retry=retry_if_exception_type((_NotYet, httpx.TransportError)),
            wait=wait_fixed(0.3),
            stop=stop_after_delay(_READY_SECONDS),
            reraise=True,
        ):
            with attempt:
                for child in self._children:
                    child.check()
                self._probe(dag_id)

    def _probe(self, dag_id: str) -> None:
        health = self._client.get("/api/v2/monitor/health").raise_for_status().json()
        unwell = [name for name, part in health.items() if part["status"] != "healthy"]
        if unwell:
            raise _NotYet(f"Airflow's {', '.join(unwell)} did not become healthy.")
        # The API that tasks talk to is built on its first request: better now than in the first task.
        self._client.get("/execution/health").raise_for_status()
        if "Authorization" not in self._client.headers:
            login = {"username": USER, "password": self._password}
            token = self._client.post("/auth/token", json=login).raise_for_status().json()["access_token"]
            self._client.headers["Authorization"] = f"Bearer {token}"
        if self._client.get(f"/api/v2/dags/{dag_id}").status_code == httpx.codes.NOT_FOUND:
            errors = self._client.get("/api/v2/importErrors").raise_for_status().json()["import_errors"]
            raise _NotYet(
                f"Airflow did not find the DAG {dag_id}: {[error['stack_trace'] for error in errors]}"
            )

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, Any]) -> None:
        answer = self._send(
            "POST",
            f"/api/v2/dags/{dag_id}/dagRuns",
            json={"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)},
        )
        if answer.is_error:
            raise AirflowError(
                f"Airflow refused to start {dag_id}: {answer.json().get('detail', answer.text)}"
            )

    def run_state(self, dag_id: str, run_id: str) -> str:
        return str(self.run(dag_id, run_id)["state"])

    def run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return dict(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return list(self._get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"])

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int) -> list[dict[str, Any]]:
        """The structured log of one attempt of a task, oldest entry first."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        return list(self._get(path, full_content=True)["content"])

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """Any other call of the REST API, for those who do to a run what people do to runs."""
        return self._send(method, f"/api/v2{path}", json=body)

    def _get(self, path: str, **query: Any) -> Any:
        return self._send("GET", path, params=query).raise_for_status().json()

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """The answer, asked for again while Airflow's database is busy.

        SQLite has one writer at a time. Two requests that meet in the one API server wait for each other
        until SQLite gives up on one: a 500, whose transaction was rolled back, so that it can be repeated.
        """
        patiently = Retrying(
            retry=retry_if_result(lambda answer: answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR),
            stop=stop_after_attempt(_ATTEMPTS),
            wait=wait_fixed(_PAUSE_SECONDS),
            retry_error_callback=lambda state: state.outcome and state.outcome.result(),
        )
        answer: httpx.Response = patiently(self._client.request, method, path, **content)
        return answer
