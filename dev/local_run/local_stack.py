"""Local AWS and Airflow, up together and down together."""

import contextlib
import platform
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from fruit_pipeline.cluster.identity import ENDED_STATES, LIVE_STATES
from fruit_pipeline.settings.deployment import Deployment
from local_aws import state_lock
from local_run import bucket_sync, local_account
from local_run.airflow_server import COMPONENTS, AirflowApi, AirflowHome, free_port
from local_run.processes import Child, stop

_AWS_READY_SECONDS = 60
_CLUSTERS_END_SECONDS = 60


@dataclass(frozen=True)
class Paths:
    """Where a checkout keeps what it installs and what a run leaves."""

    repository: Path
    state: Path
    """Airflow's home, local AWS's storage, generated photos."""
    out: Path

    @classmethod
    def of(cls, repository: Path) -> "Paths":
        """The places that ``make`` uses."""
        return cls(repository, repository / ".state", repository / "out")

    @property
    def cache(self) -> Path:
        return self.repository / ".cache"

    @property
    def spark_python(self) -> Path:
        return self.repository / ".venv" / "spark" / "bin" / "python"

    @property
    def older_spark_python(self) -> Path | None:
        """Of Spark 3.4, which `make versions-test` and `make interpreter` install; None before they have."""
        return self._python_if_installed("spark-oldest")

    @property
    def newer_spark_python(self) -> Path | None:
        """Of Spark 4, which `make versions-test` installs; None before it has."""
        return self._python_if_installed("spark-newest")

    def _python_if_installed(self, environment: str) -> Path | None:
        folder = self.repository / ".venv" / environment
        return folder / "bin" / "python" if (folder / ".installed").exists() else None


@dataclass(frozen=True)
class StackPlan:
    """What a local system is started with."""

    paths: Paths
    bucket: str
    time_factor: float
    """How much faster than EMR local clusters are provisioned."""
    port: int = 0
    """Of Airflow's UI on loopback; 0 takes a free one."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables of Airflow's components."""
    queue: str | None = None
    """Name of a queue that Airflow watches for drops of photos; without it Airflow watches none."""


class Stack:
    """The running processes of one local system, and clients for them."""

    def __init__(self, plan: StackPlan, console: Console | None = None) -> None:
        self.paths = paths = plan.paths
        self.console = console or Console(quiet=True)
        self.children: list[Child] = []
        self.airflow = AirflowHome(paths.state / "airflow", paths.repository, plan.port or free_port())
        self._settings = {
            "FRUITS_BUCKET": plan.bucket,
            "FRUITS_POLL_SECONDS": "1",
            # A local system is up for minutes: what runs in it is what somebody started.
            "FRUITS_SCHEDULE": "",
            "FRUITS_CODE_DIR": str(paths.repository / "spark"),
            "FRUITS_MODEL_DIR": str(paths.cache / "model"),
            "FRUITS_PREDICT_PYTHON": str(paths.spark_python),
            "FRUITS_RUNTIME_ARCHIVE": str(paths.cache / "runtime" / f"runtime-{platform.machine()}.tar.gz"),
            "FRUITS_PYTHON_ARCHIVE": str(paths.cache / "runtime" / f"python-{platform.machine()}.tar.gz"),
        }
        self._plan = plan
        self.aws: dict[str, str] = {}

    @property
    def deployment(self) -> Deployment:
        return Deployment(bucket=self._settings["FRUITS_BUCKET"])

    @property
    def queue_url(self) -> str:
        """Of the watched queue; empty without one."""
        return self._settings.get("FRUITS_QUEUE_URL", "")

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use this system: local AWS's exports, FRUITS_* and Airflow's settings."""
        return {**self.airflow.environment({**self.aws, **self._settings}), **self._plan.settings}

    def client(self, service: str, region: str | None = None) -> Any:
        endpoint = self.aws["AWS_ENDPOINT_URL_EMR" if service == "emr" else "AWS_ENDPOINT_URL"]
        return boto3.client(
            service,
            endpoint_url=endpoint,
            region_name=region or self.aws["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.aws["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.aws["AWS_SECRET_ACCESS_KEY"],
            config=Config(max_pool_connections=bucket_sync.IN_FLIGHT),
        )

    def start_aws(self) -> None:
        """Start local AWS and wait until it serves."""
        exports = self.paths.state / "aws.env"
        exports.unlink(missing_ok=True)
        command = [sys.executable, "-m", "local_aws", "--state-dir", str(self.paths.state / "aws")]
        command += ["--spark-python", str(self.paths.spark_python)]
        command += ["--jars-dir", str(self.paths.cache / "jars")]
        if self.paths.older_spark_python:
            command += ["--older-spark-python", str(self.paths.older_spark_python)]
        if self.paths.newer_spark_python:
            command += ["--newer-spark-python", str(self.paths.newer_spark_python)]
        command += ["--time-factor", str(self._plan.time_factor)]
        command += ["--env-file", str(exports)]
        log = self.paths.state / "logs" / "local-aws.log"
        child = Child.start("Local AWS", command, self.airflow.environment({}), log)
        self.children.append(child)

        def ready() -> bool:
            child.check()
            return exports.exists()

        Retrying(
            retry=retry_if_result(lambda up: not up),
            wait=wait_fixed(0.1),
            stop=stop_after_delay(_AWS_READY_SECONDS),
        )(ready)
        self.aws = dict(_read_exports(exports))
        if self._plan.queue:
            url = local_account.create_queue(self.client("sqs"), self._plan.queue)
            self._settings["FRUITS_QUEUE_URL"] = url

    def start_airflow(self) -> AirflowApi:
        """Start Airflow's components; ``AirflowApi.wait_until_ready`` tells when they serve."""
        started = {name: self.airflow.start(name, self.environment) for name in COMPONENTS}
        self.children += started.values()
        return AirflowApi(self.airflow.url, list(started.values()), self.airflow.password)

    def end_clusters(self) -> int:
        """Terminate every cluster that is left and wait for it; return how many there were."""
        if not self.aws or self.children[0].process.poll() is not None:
            return 0
        emr = self.client("emr")
        pages = emr.get_paginator("list_clusters").paginate(ClusterStates=list(LIVE_STATES))
        ids = [cluster["Id"] for page in pages for cluster in page["Clusters"]]
        for cluster_id in ids:
            emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
            emr.terminate_job_flows(JobFlowIds=[cluster_id])
        for cluster_id in ids:
            Retrying(
                retry=retry_if_result(lambda ended: not ended),
                wait=wait_fixed(0.2),
                stop=stop_after_delay(_CLUSTERS_END_SECONDS),
            )(
                lambda i=cluster_id: (
                    emr.describe_cluster(ClusterId=i)["Cluster"]["Status"]["State"] in ENDED_STATES
                )
            )
        return len(ids)

    def stop(self) -> None:
        """Clusters first, then Airflow, local AWS last. A second Ctrl-C does not stop the stopping."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            # Whatever EMR says, the processes must end.
            with contextlib.suppress(ClientError, BotoCoreError, RetryError):
                if ended := self.end_clusters():
                    self.console.print(f"{ended} cluster{'s' if ended > 1 else ''} terminated")
            stop(self.children[1:])
            stop(self.children[:1])
            self.children.clear()
        finally:
            signal.signal(signal.SIGINT, previous)


@contextlib.contextmanager
def running(stack: Stack) -> Iterator[Stack]:
    """The stack with local AWS up; everything that was started is down again afterwards.

    ``state_lock.InUseError`` where something else uses its state: nothing of it is touched.
    """
    with state_lock.held(stack.paths.state, f"Airflow at {stack.airflow.url}"):
        state_lock.check_free(stack.paths.state / "aws")  # local AWS alone, by `make aws`
        try:
            stack.start_aws()
            yield stack
        finally:
            stack.stop()


def _read_exports(path: Path) -> Iterator[tuple[str, str]]:
    for line in path.read_text().splitlines():
        words = shlex.split(line)
        if len(words) == 2 and words[0] == "export":
            name, _, value = words[1].partition("=")
            yield name, value
