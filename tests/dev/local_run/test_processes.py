"""What was started is ended with all its descendants, even those that ignore SIGTERM."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from local_run.processes import Child, ChildEndedError, stop

IGNORE = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
GRANDCHILD = f"{IGNORE}; print('up', flush=True); time.sleep(600)"
STUBBORN_FAMILY = f"{IGNORE}; subprocess.Popen([sys.executable, '-c', {GRANDCHILD!r}]); time.sleep(600)"


def until_logged(child: Child, word: str) -> None:
    while word not in child.log.read_text():
        child.check()


def test_a_stubborn_family_is_ended(tmp_path: Path) -> None:
    child = Child.start("family", [sys.executable, "-c", STUBBORN_FAMILY], os.environ, tmp_path / "log")
    until_logged(child, "up")
    family = psutil.Process(child.process.pid).children(recursive=True)
    assert family
    stop([child], grace_seconds=0.2)
    assert child.process.poll() is not None
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_a_dead_child_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"]
    child = Child.start("Part", command, os.environ, tmp_path / "log")
    child.process.wait()
    with pytest.raises(ChildEndedError, match=r"(?s)Part ended with exit code 3.*the reason"):
        child.check()
    stop([child])
