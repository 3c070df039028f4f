"""Runs bootstrap actions as processes of this machine: once a cluster, where EMR runs them on every node.

A bootstrap action runs in a throw-away folder with a small environment, whose PATH begins with
stand-ins for what it must not do to this machine: ``sudo`` runs the command as oneself, ``shutdown``
tells the endpoint when the simulated primary ends, ``uptime`` knows the node's boot, not this machine's.
A call of ``/sbin/shutdown`` by its full path goes past the stand-in, except through ``sudo``.
Background processes end with their action.
"""

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.emr import logs, supervisor
from local_aws.emr.cluster_data import Cluster
from local_aws.emr.localize import LocalizationError, Localizer
from local_aws.emr.spark_submit import Localized

TIMEOUT_SECONDS = 60.0
"""Real seconds that one bootstrap action may take; on EMR all of them together have an hour."""
_GRACE_SECONDS = 1.0
_POLL_SECONDS = 0.05
_CLOSING_SECONDS = 2.0
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"

_SUDO = """#!/bin/bash
# Runs the command as oneself: options of sudo are passed over, VAR=value is left to env.
while [ $# -gt 0 ]; do
  case "$1" in
    -u|-g|--user|--group) shift; shift ;;
    --) shift; break ;;
    -*) shift ;;
    *) break ;;
  esac
done
case "$1" in
  */shutdown) shift; exec shutdown "$@" ;;
esac
exec env "$@"
"""
_SHUTDOWN = """#!/bin/bash
# Tells the endpoint in how many minutes the primary ends, or "cancel".
order=+1
for word in "$@"; do
  case "$word" in
    -h|-P|--halt|--poweroff) ;;
    -c) order=cancel ;;
    now) order=+0; break ;;
    +[0-9]*) order="$word"; break ;;
    *) echo "shutdown: $word is not understood here: use -h or -P with now or +MINUTES, or -c." >&2; exit 1 ;;
  esac
done
case "$order" in
  cancel|+*([0-9])) ;;
  *) echo "shutdown: $order is not a number of minutes." >&2; exit 1 ;;
esac
printf '%s' "$order" > "$0.order.partial" && mv "$0.order.partial" "$0.order"
"""
_UPTIME = """#!/bin/bash
# Since when the simulated node is up: it boots right before its first bootstrap action.
if [ "$*" != -s ]; then echo "uptime: only -s is understood here." >&2; exit 1; fi
exec date -r "$0" '+%Y-%m-%d %H:%M:%S'
"""

Shutdown = Callable[[float | None], None]
"""Told the seconds after which the primary shuts itself down, or None when that is called off."""
BootstrapEnded = Callable[[str | None], None]
"""Told why the bootstrap actions failed, or None when they succeeded."""


@dataclass
class _Running:
    thread: threading.Thread | None = None
    process: subprocess.Popen[bytes] | None = None
    stopped: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def kill(self) -> None:
        with self.lock:
            self.stopped = True
            _order_kill(self.process)


class LocalBootstrap:
    """An ``engine.BootstrapRunner``: one thread a cluster, one process an action."""

    def __init__(
        self,
        s3: BaseClient,
        localizer: Localizer,
        environment: Mapping[str, str],
        folder: Path,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        """``environment`` is what AWS clients need; ``folder`` holds what actions leave."""
        self._s3, self._localizer, self._environment = s3, localizer, environment
        self._folder, self._timeout = folder, timeout
        self._running: dict[str, _Running] = {}

    def start(self, cluster: Cluster, shutdown: Shutdown, ended: BootstrapEnded) -> None:
        running = _Running()
        self._running[cluster.id] = running
        job = cluster.model_copy(deep=True)  # the engine goes on changing its own
        running.thread = threading.Thread(
            target=self._run,
            args=(job, running, shutdown, ended),
            daemon=True,
            name=f"{cluster.id}-bootstrap",
        )
        running.thread.start()

    def stop(self, cluster_id: str) -> None:
        """Kill what runs, without waiting for it."""
        if running := self._running.get(cluster_id):
            running.kill()

    def close(self) -> None:
        """Kill everything and return when it is gone."""
        for running in list(self._running.values()):
            running.kill()
        deadline = time.monotonic() + _CLOSING_SECONDS
        for running in list(self._running.values()):
            if running.thread is not None:
                running.thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, cluster: Cluster, running: _Running, shutdown: Shutdown, ended: BootstrapEnded) -> None:
        try:
            problem = self._run_actions(cluster, running, shutdown)
        except Exception as error:
            logging.getLogger(__name__).exception("Bootstrap actions of %s could not be run", cluster.id)
            problem = f"The local runner of bootstrap actions failed: {error}"
        if self._running.get(cluster.id) is running:
            del self._running[cluster.id]
        ended(problem)

    def _run_actions(self, cluster: Cluster, running: _Running, shutdown: Shutdown) -> str | None:
        node = self._folder / cluster.id
        shutil.rmtree(node, ignore_errors=True)  # of an earlier run that the endpoint's end cut short
        stand_ins = node / "bin"
        stand_ins.mkdir(parents=True)
        for name, text in (("sudo", _SUDO), ("shutdown", _SHUTDOWN), ("uptime", _UPTIME)):
            (stand_ins / name).write_text(text.replace("#!/bin/bash\n", "#!/bin/bash\nshopt -s extglob\n", 1))
            (stand_ins / name).chmod(0o755)
        for number, action in enumerate(cluster.request["BootstrapActions"], start=1):
            run = _ActionRun(self, cluster, running, number, node)
            problem = run.run(action["ScriptBootstrapAction"], shutdown)
            if problem is not None:
                return problem
        return None


class _ActionRun:
    """One bootstrap action."""

    def __init__(
        self, runner: LocalBootstrap, cluster: Cluster, running: _Running, number: int, node: Path
    ) -> None:
        self._runner, self._cluster, self._running, self._number = runner, cluster, running, number
        self._node, self._logs = node, node / "bootstrap-actions" / str(number)
        self._workdir = self._logs / "workdir"

    def run(self, script: dict[str, Any], shutdown: Shutdown) -> str | None:
        self._workdir.mkdir(parents=True)
        problem = self._download(script["Path"]) or self._execute(script, shutdown)
        shutil.rmtree(self._workdir, ignore_errors=True)
        self._upload_logs()
        return problem

    def _download(self, uri: str) -> str | None:
        try:
            self._runner._localizer.localize([Localized(uri, "script")], self._workdir)
        except LocalizationError as error:
            self._note(f"ERROR {error}")
            return (
                f"Master instance ({self._cluster.primary.ec2_id}) failed attempting to download "
                f"bootstrap action {self._number} file from S3"
            )
        return None

    def _execute(self, script: dict[str, Any], shutdown: Shutdown) -> str | None:
        command = ["bash", "./script", *script.get("Args", [])]
        self._note(f"INFO startExec '{script['Path']} {' '.join(script.get('Args', []))}'")
        with (self._logs / "stdout").open("wb") as out, (self._logs / "stderr").open("wb") as err:
            with self._running.lock:
                if self._running.stopped:
                    return self._failed("returned a non-zero return code")
                self._running.process = process = subprocess.Popen(
                    [sys.executable, "-I", supervisor.__file__, str(_GRACE_SECONDS), *command],
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=err,
                    cwd=self._workdir,
                    env=self._environment(),
                    start_new_session=True,
                )
            timed_out = not self._watch(process, shutdown)
            exit_code = process.wait()
            self._pass_on(shutdown)
            with self._running.lock:
                self._running.process = None
                if process.stdin is not None:
                    process.stdin.close()
        self._note(f"INFO waitProcessCompletion ended with exit code {exit_code}")
        if timed_out:
            return self._failed("timed out")
        return self._failed("returned a non-zero return code") if exit_code != 0 else None

    def _watch(self, process: subprocess.Popen[bytes], shutdown: Shutdown) -> bool:
        """Wait for the end, and see to it that there is one; False when it had to be forced."""
        deadline = time.monotonic() + self._runner._timeout
        while True:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_POLL_SECONDS)
                return True
            self._pass_on(shutdown)
            if time.monotonic() >= deadline:
                self._note(f"ERROR not ended after {self._runner._timeout:g} seconds: killed")
                _order_kill(process)
                return False

    def _pass_on(self, shutdown: Shutdown) -> None:
        """What the stand-in ``shutdown`` was last told, if anything."""
        order = self._node / "bin" / "shutdown.order"
        if order.exists():
            text = order.read_text()
            order.unlink()
            self._note(f"INFO shutdown {text}")
            shutdown(None if text == "cancel" else 60.0 * int(text))

    def _failed(self, how: str) -> str:
        return (
            f"On the master instance ({self._cluster.primary.ec2_id}), bootstrap action {self._number} {how}"
        )

    def _environment(self) -> dict[str, str]:
        return {
            **self._runner._environment,
            "PATH": f"{self._node / 'bin'}{os.pathsep}{_SYSTEM_PATH}",
            "HOME": str(self._workdir),
            "TMPDIR": str(self._workdir),
            "LANG": "C.UTF-8",
            "USER": "hadoop",
            "EMR_CLUSTER_ID": self._cluster.id,
        }

    def _note(self, text: str) -> None:
        with (self._logs / "controller").open("a") as controller:
            controller.write(f"{text}\n")

    def _upload_logs(self) -> None:
        log_uri = self._cluster.request.get("LogUri")
        if not log_uri:
            return
        destination = logs.bootstrap_log_uri(
            log_uri, self._cluster.id, self._cluster.primary.ec2_id, self._number
        )
        try:
            logs.upload(self._runner._s3, self._logs, destination)
        except (ClientError, BotoCoreError) as error:
            logging.getLogger(__name__).warning("Logs could not be put at %s: %s", destination, error)


def _order_kill(process: subprocess.Popen[bytes] | None) -> None:
    if process is not None and process.stdin is not None:
        with suppress(OSError, ValueError):
            process.stdin.write(b"kill\n")
            process.stdin.flush()
