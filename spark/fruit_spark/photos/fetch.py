"""Fetch the photos of a task ahead of the model: concurrent, bounded in memory, retried.

What is wrong with one photo (gone, changed, too large) becomes its reason. What is wrong with the
store (no access, no answer) fails the task: rejecting every photo of a run would hide it.
"""

import errno
import queue
import random
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from fruit_contract.layout import split_uri
from fruit_contract.manifest import CHANGED, GONE
from fruit_spark.photos.read_rate import ReadRate
from fruit_spark.photos.work_items import ReadImage, WorkItem
from fruit_spark.step_errors import RejectedImage, StepError
from fruit_spark.storage.s3 import is_s3, s3_endpoint, s3_file_system, store_for

IN_FLIGHT: Final = 16
"""Requests of one task at the same time: at S3's usual 20 ms each, 800 photos a second."""
AHEAD: Final = 48
"""Photos of one task that are being fetched or wait for the model, at most."""
MAX_BYTES: Final = 64 * 2**20
"""Size of one file; photos are a thousand times smaller."""
BYTES_AHEAD: Final = MAX_BYTES
"""By the plan's sizes, what a task's photos under way may hold together, but for a single one."""
ATTEMPTS: Final = 4


def read_images(
    items: Iterable[WorkItem],
    fetch: Callable[[WorkItem], bytes] | None = None,
    rate: ReadRate | None = None,
) -> Iterator[ReadImage]:
    """Every item once, in the order in which they arrive: a slow photo stalls none of the others.

    They are asked for at ``rate``, or as fast as they are taken. What S3 throttles all the same, its client
    asks for again, ever later.

    At most ``AHEAD`` items, of ``BYTES_AHEAD``, are under way or unread. An exception other than
    ``RejectedImage`` ends the iteration and fails the task.
    """
    one = fetch or fetch_image
    remaining = iter(items)
    asked: queue.SimpleQueue[WorkItem | None] = queue.SimpleQueue()
    answered: queue.SimpleQueue[ReadImage | BaseException] = queue.SimpleQueue()

    def work() -> None:
        while (item := asked.get()) is not None:
            if rate is not None:
                rate.wait()
            try:
                answered.put(ReadImage(item, one(item)))
            except RejectedImage as reason:
                answered.put(ReadImage(item, None, str(reason)))
            except BaseException as problem:  # handed to the task's own thread, which raises it
                answered.put(problem)

    under_way, held = 0, 0
    item = next(remaining, None)
    threads: list[threading.Thread] = []
    try:
        while True:
            while item is not None and (
                not under_way or (under_way < AHEAD and held + max(0, item.size) <= BYTES_AHEAD)
            ):
                if len(threads) < IN_FLIGHT:
                    threads.append(threading.Thread(target=work, name="read-images", daemon=True))
                    threads[-1].start()
                asked.put(item)
                under_way, held = under_way + 1, held + max(0, item.size)
                item = next(remaining, None)
            if not under_way:
                return
            answer = answered.get()
            if isinstance(answer, BaseException):
                raise answer
            under_way, held = under_way - 1, held - max(0, answer.item.size)
            yield answer
    finally:
        while not asked.empty():
            asked.get()
        for _ in threads:
            asked.put(None)


def fetch_image(item: WorkItem) -> bytes:
    """The bytes of one image, checked against the plan's size and ETag.

    ``RejectedImage`` when it is gone, changed or too large; ``StepError`` when the store cannot be read.
    """
    _check_size(item.size)
    if is_s3(item.uri):
        return _fetch_from_s3(item)
    try:
        return read_local(item)
    except OSError as problem:
        raise StepError(
            f"{item.uri} could not be read: {problem.strerror}. Check the file system."
        ) from problem


def read_local(item: WorkItem) -> bytes:
    """The bytes of a local file, checked against the plan's size.

    ``RejectedImage`` as :func:`fetch_image`; ``OSError`` where the file system does not give it. A pipe is
    not opened: that would wait for ever for its other end.
    """
    path = Path(item.uri.removeprefix("file://"))
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise RejectedImage("not an image: it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise RejectedImage("not an image: it is not a regular file")
        _check_size(found.st_size)
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise RejectedImage(f"{GONE}: it is a link, and the file behind it is not there") from None
        raise RejectedImage(f"{GONE}: the file was there when the work was planned") from None
    except OSError as problem:
        if problem.errno == errno.ELOOP:
            raise RejectedImage("not an image: it is a link in a circle") from None
        raise
    _check_unchanged(item, len(data), "")
    return data


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise RejectedImage(f"too large: {size:,} bytes; at most {MAX_BYTES:,}")


def _check_unchanged(item: WorkItem, size: int, etag: str) -> None:
    if item.etag and etag and item.etag.strip('"') != etag.strip('"'):
        raise RejectedImage(f"{CHANGED}: its ETag was {item.etag}, now {etag}")
    if 0 <= item.size != size:
        raise RejectedImage(f"{CHANGED}: it had {item.size} bytes, now {size}")


def _fetch_from_s3(item: WorkItem) -> bytes:
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    bucket, _ = split_uri(item.uri)
    if _needs_arrow(item.key):
        return _fetch_with_arrow(bucket, item)
    import obstore

    for attempt in range(1, ATTEMPTS + 1):
        try:
            answer = obstore.get(store_for(bucket), item.key)
            meta = answer.meta
            _check_size(meta["size"])
            _check_unchanged(item, meta["size"], meta.get("e_tag") or "")
            data = bytes(answer.bytes())
            if len(data) == meta["size"]:
                return data
            problem: Exception = EOFError(f"{len(data)} of {meta['size']} bytes arrived")
        except (NotFoundError, FileNotFoundError):
            raise RejectedImage(f"{GONE}: the object was there when the work was planned") from None
        except (PermissionDeniedError, UnauthenticatedError) as refused:
            raise StepError(
                f"S3 refused to read {item.uri}: give the cluster's role s3:GetObject on it and "
                f"s3:ListBucket on {bucket}. S3 said: {_first_line(refused)}"
            ) from refused
        except ValueError:
            raise RejectedImage(
                f"unreadable key: {item.key!r} has an empty, '.' or '..' part; rename it"
            ) from None
        except (BaseError, OSError) as failed:
            problem = failed
        # Full jitter, so that the tasks of a cluster do not come back together.
        if attempt < ATTEMPTS:
            time.sleep(random.uniform(0, 0.2 * 2**attempt))
    raise StepError(
        f"{item.uri} could not be read in {ATTEMPTS} attempts: {_first_line(problem)}. "
        f"Check that {s3_endpoint() or 'S3'} can be reached from the cluster."
    )


def _needs_arrow(key: str) -> bool:
    """Whether a key holds control characters (newline, tab), which obstore refuses and S3 allows."""
    return any(ord(character) < 32 or ord(character) == 127 for character in key)


def _fetch_with_arrow(bucket: str, item: WorkItem) -> bytes:
    """The slower way for keys with control characters: no ETag to compare, so the size alone is checked."""
    try:
        with s3_file_system().open_input_file(f"{bucket}/{item.key}") as file:
            _check_unchanged(item, file.size(), "")
            return bytes(file.read())
    except FileNotFoundError:
        raise RejectedImage(f"{GONE}: the object was there when the work was planned") from None
    except ValueError:
        raise RejectedImage(
            f"unreadable key: {item.key!r} has an empty, '.' or '..' part; rename it"
        ) from None
    except OSError as problem:
        raise StepError(
            f"{item.uri} could not be read: {_first_line(problem)}. Check the access to it."
        ) from problem


def _first_line(problem: BaseException) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0].strip().rstrip(".")
