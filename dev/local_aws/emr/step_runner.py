"""Runs steps as processes of this machine, one thread and one supervised process each."""

import datetime
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.emr import examples, hadoop, logs, node_programs, step_command, supervisor
from local_aws.emr.cluster_data import Cluster, Failure, Step
from local_aws.emr.clusters import StepResult
from local_aws.emr.engine import StepEnded
from local_aws.emr.localize import LocalizationError, Localizer
from local_aws.emr.spark_submit import (
    SCRATCH,
    LocalCommand,
    LocalSpark,
    SparkSubmitError,
    localize_and_translate,
    parse,
)
from local_aws.emr.step_command import UnsupportedStepError

_GRACE_SECONDS = 5.0
_CLOSING_SECONDS = 1.0
# The step sees these of the developer's environment and no more: no credentials, no Airflow settings.
_INHERITED = ("HOME", "USER", "LANG", "LC_ALL", "TZ", "MPLCONFIGDIR")


@dataclass
class _Running:
    thread: threading.Thread | None = None
    process: subprocess.Popen[bytes] | None = None
    stop_asked: bool = False
    hang_asked: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def order(self, word: bytes) -> None:
        """Tell the supervisor, if there is one yet. The caller holds the lock."""
        if self.process is not None and self.process.stdin is not None:
            with suppress(OSError, ValueError):
                self.process.stdin.write(word)
                self.process.stdin.flush()


@dataclass(frozen=True)
class Sparks:
    """The Sparks of this machine."""

    current: LocalSpark
    older: Callable[[], LocalSpark] | None = None
    """Finds Spark 3.4; None where it is not there."""
    newer: Callable[[], LocalSpark] | None = None
    """Finds Spark 4; None where it is not there."""

    def of(self, release_label: str) -> LocalSpark:
        """What runs a release's steps, if it is there: Spark 3.4 to emr-6, Spark 4 for emr-spark."""
        for lines, find in ((("emr-5.", "emr-6."), self.older), (("emr-spark-",), self.newer)):
            if find and release_label.startswith(lines):
                return find()
        return self.current


class LocalStepRunner:
    """An ``engine.StepRunner`` that runs ``command-runner.jar`` steps for real."""

    def __init__(
        self,
        s3: BaseClient,
        localizer: Localizer,
        sparks: Sparks,
        environment: Mapping[str, str],
        folder: Path,
    ) -> None:
        """``environment`` is what AWS clients in a step need; ``folder`` holds what steps leave."""
        self._s3, self._localizer, self._sparks = s3, localizer, sparks
        self._environment, self._folder = environment, folder
        self._running: dict[str, _Running] = {}

    def start(self, cluster: Cluster, step: Step, ended: StepEnded) -> None:
        running = _Running()
        self._running[step.id] = running
        # A copy: the engine goes on changing its own.
        job = _StepRun(self, cluster.model_copy(deep=True), step.model_copy(deep=True), running)
        running.thread = threading.Thread(target=self._run, args=(job, ended), daemon=True, name=step.id)
        running.thread.start()

    def stop(self, step_id: str, force: bool) -> None:
        running = self._running.get(step_id)
        if running is None:
            return
        with running.lock:
            running.stop_asked = True
            running.order(b"kill\n" if force else b"stop\n")

    def hang(self, step_id: str) -> None:
        running = self._running.get(step_id)
        if running is None:
            return
        with running.lock:
            running.hang_asked = True
            running.order(b"hang\n")

    def close(self) -> None:
        """End every process and return when they are gone, within about two seconds."""
        for step_id in list(self._running):
            self.stop(step_id, force=False)
        deadline = time.monotonic() + _CLOSING_SECONDS
        for running in list(self._running.values()):
            if running.thread is not None:
                running.thread.join(max(0.0, deadline - time.monotonic()))
        for step_id in list(self._running):
            self.stop(step_id, force=True)
        for running in list(self._running.values()):
            if running.process is not None:
                running.process.wait()

    def _run(self, job: "_StepRun", ended: StepEnded) -> None:
        try:
            result = job.run()
        except Exception as error:
            logging.getLogger(__name__).exception("Step %s could not be run", job.step.id)
            result = StepResult(
                None, Failure(reason="Unknown Error.", message=f"The local runner failed: {error}")
            )
        self._running.pop(job.step.id, None)
        ended(result)


class _StepRun:
    """One run of one step, in a thread of its own."""

    def __init__(self, runner: LocalStepRunner, cluster: Cluster, step: Step, running: _Running) -> None:
        self._runner, self._cluster, self.step, self._running = runner, cluster, step, running
        self._release = str(cluster.request["ReleaseLabel"])
        self._spark = runner._sparks.of(self._release)
        self._logs = runner._folder / cluster.id / step.id
        self._workdir = self._logs / "container"
        self._hdfs = runner._folder / cluster.id / "hdfs"
        self._programs = self._workdir / SCRATCH / "node" / "bin"

    def run(self) -> StepResult:
        settings = _classification(self._cluster, "core-site")
        node_programs.install(self._spark, self._hdfs, settings, self._programs.parent)
        started = time.monotonic()
        with (self._logs / "controller").open("a") as controller:
            exit_code, problem = self._execute(controller)
            _note(controller, f"waitProcessCompletion ended with exit code {exit_code}")
            _note(controller, f"total process run time: {time.monotonic() - started:.0f} seconds")
        shutil.rmtree(self._workdir, ignore_errors=True)
        log_file = self._upload_logs()
        if exit_code == 0:
            return StepResult(0)
        message = problem or logs.failure_message(self._logs / "stderr")
        reason = "Unknown Error." if problem is None else "Step configuration error."
        return StepResult(exit_code, Failure(reason=reason, message=message, log_file=log_file))

    def _execute(self, controller: IO[str]) -> tuple[int | None, str | None]:
        step = self.step
        try:
            command = self._command()
            self._runner._localizer.localize(command.localized, self._workdir)
        except (UnsupportedStepError, SparkSubmitError, LocalizationError) as error:
            _note(controller, f"startExec refused: {error}", "ERROR")
            (self._logs / "stderr").write_text(f"{error}\n")
            return 1, str(error)
        _note(controller, f"startExec 'hadoop jar {step.jar} {' '.join(step.args)}'")
        _note(controller, f"Release {self._release} asked for; run by the Spark in {self._spark.spark_home}.")
        for item in command.localized:
            _note(controller, f"Localized {item.uri} as {item.name}{'/' if item.unpack else ''}")
        _note(controller, f"Local command: {' '.join(command.argv)}")
        return self._supervise(command), None

    def _command(self) -> LocalCommand:
        wanted = step_command.of(self.step)
        program = PurePosixPath(wanted.argv[0]).name
        if program in ("spark-submit", "run-example"):
            return self._spark_command(program, wanted.argv[1:])
        if program in node_programs.REFUSED:
            raise UnsupportedStepError(node_programs.refusal(program))
        # A node has its programs in other folders than this machine.
        known = (self._programs / program).exists() and PurePosixPath(wanted.argv[0]).is_absolute()
        argv = [program if known else wanted.argv[0], *wanted.argv[1:]]
        if shutil.which(argv[0], path=self._path()) is None:
            raise UnsupportedStepError(f"Cannot run program {argv[0]!r}: it is not on this machine's PATH.")
        return LocalCommand(argv, localized=wanted.localized)

    def _spark_command(self, program: str, args: Sequence[str]) -> LocalCommand:
        submission, home = parse(args), self._spark.spark_home
        if program == "run-example":
            submission = examples.of_run_example(submission, home)
        submission = examples.in_python(submission, home)
        settings = hadoop.hdfs_settings(self._hdfs) | _classification(self._cluster, "core-site")
        defaults = {f"spark.hadoop.{key}": value for key, value in settings.items()}
        defaults |= _classification(self._cluster, "spark-defaults")
        command = localize_and_translate(submission, self._spark, defaults, self._workdir)
        exported = _classification(self._cluster, "spark-env", "export")
        if exported.get("PYSPARK_PYTHON", "").startswith("/usr/bin/python3"):
            exported["PYSPARK_PYTHON"] = str(self._spark.python)
        return LocalCommand(command.argv, {**exported, **command.environment}, command.localized)

    def _supervise(self, command: LocalCommand) -> int:
        environment = self._base_environment() | command.environment
        (self._workdir / SCRATCH).mkdir(exist_ok=True)
        # -I: what the step's environment says to Python is not meant for the supervisor.
        argv = [sys.executable, "-I", supervisor.__file__, str(_GRACE_SECONDS), *command.argv]
        with (self._logs / "stdout").open("wb") as out, (self._logs / "stderr").open("wb") as err:
            with self._running.lock:
                if self._running.stop_asked:
                    return 143
                self._running.process = process = subprocess.Popen(
                    argv,
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=err,
                    cwd=self._workdir,
                    env=environment,
                    start_new_session=True,
                )
                if self._running.hang_asked:
                    self._running.order(b"hang\n")
            exit_code = process.wait()
            if process.stdin is not None:
                process.stdin.close()
        return exit_code

    def _base_environment(self) -> dict[str, str]:
        spark = self._spark
        inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        return {
            **inherited,
            **self._runner._environment,
            "PATH": self._path(),
            "JAVA_HOME": str(spark.java_home),
            "TMPDIR": str(self._workdir / SCRATCH),
            "SPARK_HOME": str(spark.spark_home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "EMR_CLUSTER_ID": self._cluster.id,
            "EMR_STEP_ID": self.step.id,
        }

    def _path(self) -> str:
        spark = self._spark
        own = [self._programs, spark.python.parent, spark.java_home / "bin", spark.spark_home / "bin"]
        return os.pathsep.join([*map(str, own), "/usr/local/bin", "/usr/bin", "/bin"])

    def _upload_logs(self) -> str | None:
        """Where stderr is now, or None where the cluster has no LogUri or S3 did not take it."""
        log_uri = self._cluster.request.get("LogUri")
        if not log_uri:
            return None
        destination = logs.step_log_uri(log_uri, self._cluster.id, self.step.id)
        try:
            logs.upload(self._runner._s3, self._logs, destination)
        except (ClientError, BotoCoreError) as error:
            # As on EMR, a log bucket that refuses does not fail the step.
            logging.getLogger(__name__).warning("Logs could not be put at %s: %s", destination, error)
            return None
        return f"{destination}stderr.gz"


def _classification(cluster: Cluster, *names: str) -> dict[str, str]:
    """The properties of a (nested) configuration classification of the cluster."""
    level = cluster.request.get("Configurations", [])
    properties: dict[str, str] = {}
    for name in names:
        found = [each for each in level if each.get("Classification") == name]
        properties = {key: value for each in found for key, value in each.get("Properties", {}).items()}
        level = [inner for each in found for inner in each.get("Configurations", [])]
    return properties


def _note(controller: IO[str], text: str, level: str = "INFO") -> None:
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
    controller.write(f"{now} {level} {text}\n")
    controller.flush()
