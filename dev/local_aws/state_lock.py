"""A folder of state has one user at a time. The system lets go of the lock when its process dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

LOCK_NAME: Final = "lock"
"""In the folder. `make clean` asks it, too."""


class InUseError(Exception):
    """Somebody else uses the folder; the message says who."""


@contextmanager
def held(folder: Path, holder: str) -> Iterator[None]:
    """Hold the folder, made if need be, in the name of ``holder``. ``InUseError`` if another does."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK_NAME).open("a+") as lock:
        _take(lock, folder)
        lock.truncate(0)
        lock.write(f"process {os.getpid()}, {holder}\n")
        lock.flush()
        yield


def check_free(folder: Path) -> None:
    """``InUseError`` if anybody holds the folder. Nothing is written."""
    if (folder / LOCK_NAME).exists():
        with (folder / LOCK_NAME).open() as lock:
            _take(lock, folder)


def _take(lock: IO[str], folder: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "another process"
        raise InUseError(f"{folder} is in use by {holder}: end that first, or use it.") from None
