"""Child processes that never outlive the one that started them."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class ChildEndedError(RuntimeError):
    """A process that should be running has ended; the message has the end of its log."""


def end_with_parent() -> None:
    """Called in the child: ask Linux for a SIGTERM when the parent dies, even by SIGKILL."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """A started process, in a session of its own so that a terminal's Ctrl-C reaches only us."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    _stream: IO[bytes]

    @classmethod
    def start(cls, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> "Child":
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("wb")
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        return cls(name, process, log, stream)

    def check(self) -> None:
        """Raise ``ChildEndedError`` when the process is no longer there."""
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
            raise ChildEndedError(f"{self.name} ended with exit code {code}; the end of {self.log}:\n{tail}")


def stop(children: Sequence[Child], grace_seconds: float = 20.0) -> None:
    """End the children and all their descendants: SIGTERM first, SIGKILL for what is left."""
    family = _family(children)
    for child in children:
        if child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(family, timeout=grace_seconds)
    for process in {*alive, *_family(children)}:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(alive, timeout=5)
    for child in children:
        child.process.wait()
        child._stream.close()


def _family(children: Sequence[Child]) -> list[psutil.Process]:
    """The children and their descendants, and whoever else is in a session of theirs.

    A task's process outlives its parent for a moment when a scheduler ends: it is still in the
    same session, or in a process group of its own below it.
    """
    sessions = {child.process.pid for child in children}
    found: dict[int, psutil.Process] = {}
    for child in children:
        try:
            root = psutil.Process(child.process.pid)
            for process in (root, *root.children(recursive=True)):
                found[process.pid] = process
        except psutil.NoSuchProcess:
            continue
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in sessions:
                found[process.pid] = process
        except (ProcessLookupError, PermissionError):
            continue
    return list(found.values())
