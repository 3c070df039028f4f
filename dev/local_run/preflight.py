"""What can be seen to be wrong before any work: run by ``make`` with nothing installed yet.

Standard library only. Each finding is one sentence: what is wrong, the value, what to do.
"""

import argparse
import importlib.util
import os
import shutil
import socket
import sys
from pathlib import Path

SETUP_GB = 7.0
"""Both environments (3.4 GB), the oldest Spark for the tests (0.4 GB), the runtime archive, package caches
and room to build."""
RUN_GB = 1.0


def python_problem() -> str | None:
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:3]))
        return f"This is Python {found}, and 3.11 is needed: name it with PYTHON=/path/to/python3.11."
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        return (
            "Python 3.11 cannot make virtual environments: install its venv module (Debian: python3.11-venv)."
        )
    return None


def disk_problem(folder: Path, needed_gb: float) -> str | None:
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb >= needed_gb:
        return None
    return (
        f"Only {free_gb:.1f} GB are free at {folder}, and {needed_gb:g} GB are needed: "
        "free some space, or clone onto a larger disk."
    )


def writable_problem(folder: Path) -> str | None:
    if os.access(folder, os.W_OK):
        return None
    return f"The folder {folder} cannot be written: clone into a folder of your own."


def port_problem(port: int) -> str | None:
    """Whether a port that was asked for is free on loopback; 0 means that any will do."""
    if not 0 <= port <= 65535:
        return f"Port {port} does not exist: choose one from 1024 to 65535, or leave it out."
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return (
                f"Port {port} cannot be used ({error.strerror}): "
                "choose another, or leave it out for a free one."
            )
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description="Look for what would stop a set-up or a run.")
    parser.add_argument("--free-gb", type=float, default=SETUP_GB, help="disk space needed, in GB")
    arguments = parser.parse_args()
    folder = Path.cwd()
    problems = [python_problem(), writable_problem(folder), disk_problem(folder, arguments.free_gb)]
    found = [problem for problem in problems if problem]
    for problem in found:
        print(problem, file=sys.stderr)
    return 2 if found else 0


if __name__ == "__main__":
    sys.exit(main())
