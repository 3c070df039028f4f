"""What would stop a set-up or a run is said in one sentence, before any work."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local_run import preflight
from tests.conftest import REPOSITORY


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"Port {port} cannot be used" in str(preflight.port_problem(port))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_does_not_exist_is_named(port: int) -> None:
    assert f"Port {port} does not exist" in str(preflight.port_problem(port))


def test_no_port_asked_for_is_no_problem() -> None:
    assert preflight.port_problem(0) is None


def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path) -> None:
    assert "and 1e+06 GB are needed: free some space" in str(preflight.disk_problem(tmp_path, 1e6))
    assert preflight.disk_problem(tmp_path, 0.0) is None


def test_another_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert preflight.python_problem() is None
    monkeypatch.setattr(sys, "version_info", (3, 12, 1, "final", 0))
    assert "This is Python 3.12.1, and 3.11 is needed" in str(preflight.python_problem())


def test_the_check_runs_with_nothing_installed(tmp_path: Path) -> None:
    """As make calls it, with no package on the path: -I -S leaves the standard library alone."""
    script = REPOSITORY / "dev" / "local_run" / "preflight.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(script), "--free-gb", "1e9"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "GB are needed" in done.stderr
