"""Runs one command and outlives neither it nor the endpoint. A script of its own, standard library only.

Usage: python -I supervisor.py GRACE_SECONDS COMMAND...

The endpoint holds the other end of standard input: ``stop`` on it asks the command to end, ``kill``
ends it at once, ``hang`` freezes it, and the end of file, which also comes when the endpoint is killed,
means ``stop``.
Everything that the command started and that stayed in its session is ended with it, Spark's Python
workers included (they leave the process group, not the session). The exit code is the command's own.
"""

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

_POLL_SECONDS = 0.05


def _session_members(session: int) -> list[int]:
    """The processes of a session, from /proc; only the leader where there is no /proc."""
    proc = Path("/proc")
    if not (proc / "self" / "stat").exists():
        return [session]
    members = []
    for entry in proc.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                # The name in parentheses may hold anything; the fields after it are state, parent,
                # process group, session.
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    members.append(int(entry.name))
    return members


def _signal_session(session: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(session, number)
    for pid in _session_members(session):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def main(grace: float, command: list[str]) -> int:
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    deadline: float | None = None
    listening, hanging = True, False
    while child.poll() is None:
        if hanging:
            # Again and again, for a process may have been forked while the others were frozen.
            _signal_session(child.pid, signal.SIGSTOP)
        if listening and select.select([0], [], [], _POLL_SECONDS)[0]:
            order = os.read(0, 64)
            listening = bool(order)
            hanging = hanging or b"hang" in order
            asked_to_end = not order or set(order.split()) != {b"hang"}
            # What is frozen cannot heed a request to end.
            if b"kill" in order or (hanging and asked_to_end):
                _signal_session(child.pid, signal.SIGKILL)
            elif asked_to_end and deadline is None:
                _signal_session(child.pid, signal.SIGTERM)
                deadline = time.monotonic() + grace
        elif not listening:
            time.sleep(_POLL_SECONDS)
        if deadline is not None and time.monotonic() >= deadline:
            _signal_session(child.pid, signal.SIGKILL)
    _signal_session(child.pid, signal.SIGKILL)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    try:
        sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
    except OSError as error:
        print(f"{sys.argv[2]} cannot be run: {error.strerror}.", file=sys.stderr)
        sys.exit(127)
