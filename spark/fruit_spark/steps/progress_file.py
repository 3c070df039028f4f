"""A small file that says how far the step is, while it works.

A thread beside the step writes it. Nothing waits for that thread, and nothing fails with it.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Final

from fruit_contract.progress import Progress
from fruit_spark.storage.put import put_bytes

FIRST_PAUSE_SECONDS: Final = 1.0
"""Before the second look. Each later pause is twice as long, so that a short step shows something, too."""
LONGEST_PAUSE_SECONDS: Final = 10.0
LAST_WORD_SECONDS: Final = 5.0
"""How long the end of the step waits, at most, until what was counted last is written."""


@contextmanager
def told(address: str | None, done: Callable[[], int], of: int) -> Iterator[None]:
    """While the step is at it, write at ``address`` how many photos are done; None writes nothing.

    What ``done`` says before the work begins is what was reused.
    """
    if address is None:
        yield
        return
    over, now = threading.Event(), partial(Progress, of=of, reused=done(), started=datetime.now(UTC))
    teller = threading.Thread(target=_tell, args=(address, now, done, over), daemon=True, name="progress")
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join(LAST_WORD_SECONDS)


def _tell(address: str, now: Callable[..., Progress], done: Callable[[], int], over: threading.Event) -> None:
    written, pause = -1, FIRST_PAUSE_SECONDS
    while True:
        is_last = over.is_set()
        if (count := done()) != written:
            try:
                put_bytes(address, _json(now(done=count, now=datetime.now(UTC))))
                written = count
            except Exception as problem:  # whatever it is, the photos matter more
                print(f"The progress could not be written to {address}: {problem}", flush=True)
        if is_last:
            return
        over.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _json(progress: Progress) -> bytes:
    return json.dumps(asdict(progress), default=datetime.isoformat).encode()
