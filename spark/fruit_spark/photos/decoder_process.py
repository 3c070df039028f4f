"""Decode in a process of its own: whatever its bytes are, no photo holds, fills or crashes the worker.

The kernel ends the process when a photo has taken too much of the processor's time (not of the clock's: a
busy node rejects nothing), and refuses it memory beyond a bound. The worker then rejects that photo with the
reason, and starts the next process.
"""

import contextlib
import os
import resource
import signal
import struct
import subprocess
import sys
import weakref
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from fruit_spark.photos.decode import Decoder, Pixels
from fruit_spark.step_errors import RejectedImage, StepError

MAX_SECONDS: Final = 30
"""Of a processor, for one photo. The largest that are accepted take a few."""
MAX_BYTES: Final = 1_200_000_000
"""Of memory, for one photo: ``MAX_MEMORY`` of its decoder, its own bytes, and the pixels that come of it."""
_ONE_PIXEL: Final = struct.pack(
    "<2sIHHIIiiHHIIiiIII", b"BM", 58, 0, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0, 0
)
"""A black BMP."""
_ONE_THREAD: Final = {"OPENCV_FOR_THREADS_NUM": "1", "OPENBLAS_NUM_THREADS": "1"}


class DecoderProcess:
    """A decoder like the one given, and bounded. Its process starts with the first photo, or before."""

    def __init__(self, decode: Decoder, seconds: float = MAX_SECONDS) -> None:
        self._decode, self._seconds = decode, seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def __call__(self, data: bytes, size: int) -> Pixels:
        self.wait()
        try:
            self._connection.send((data, size))
            decoded: Pixels | RejectedImage = self._connection.recv()
        except (EOFError, OSError):
            raise RejectedImage(self._why(self._end())) from None
        if isinstance(decoded, RejectedImage):
            raise decoded
        return decoded

    def start(self) -> None:
        """Start the process where none runs, and do not wait for it.

        It is one from the beginning: a fork of this one would inherit the locks of its other threads.
        """
        if self._process is not None:
            return
        self._is_ready = False
        self._connection, theirs = Pipe()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
            )
        weakref.finalize(self, _kill, self._process, self._connection)
        # What a process that has ended already does not take is said by wait.
        with contextlib.suppress(OSError):
            self._connection.send((self._decode, self._seconds))

    def wait(self) -> None:
        """Start the process where none runs, and wait until it can decode; ``StepError`` where it cannot."""
        self.start()
        try:
            if not self._is_ready:
                self._connection.recv()
                self._is_ready = True
        except (EOFError, OSError):
            raise StepError(
                f"The decoder of the photos ended with code {self._end()} as it started: see what it said "
                "in the executor's stderr."
            ) from None

    def _end(self) -> int:
        """The exit code of the process, which has closed its side of the connection."""
        assert self._process is not None
        process, self._process = self._process, None
        self._connection.close()
        return process.wait()

    def _why(self, exit_code: int) -> str:
        if exit_code == -signal.SIGPROF:
            return f"too costly: decoding it takes more than {self._seconds:g} s of a processor"
        if exit_code == -signal.SIGKILL:
            return "too large: the system ended its decoder, as it does when memory runs out"
        return f"corrupt: its decoder ended with code {exit_code}"


def _kill(process: "subprocess.Popen[bytes]", connection: Connection) -> None:
    connection.close()
    process.kill()
    process.wait()


def serve(connection: Connection) -> None:
    """Decode what comes, until the other side is gone."""
    decode, seconds = connection.recv()
    # Imports what decoding needs, on no photo's account.
    decode(_ONE_PIXEL, 1)
    _limit_memory()
    # As the worker's parents have left it to it, the signal might do nothing.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    connection.send("ready")
    while True:
        data, size = connection.recv()
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            answer: Pixels | RejectedImage = decode(data, size)
        except RejectedImage as reason:
            answer = reason
        signal.setitimer(signal.ITIMER_PROF, 0)
        connection.send(answer)


def _limit_memory() -> None:
    """What this process holds already, and what a photo may take."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + MAX_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


if __name__ == "__main__":
    with contextlib.suppress(EOFError, ConnectionError):
        serve(Connection(int(sys.argv[1])))
