"""Every object under a prefix, in key order, by several LIST requests at a time.

The keys are cut into ranges at the names of folders, and each range is one unit of work: ``Prefix`` as asked,
``StartAfter`` its beginning, and an end. Ranges cover every key whatever the folders are: files between
them, folders inside them, folders that appear meanwhile. A folder of photos is a range of its own at first;
of many folders ever more share one (a thirty-second of those seen so far), so that 100,000 folders with one
photo each take 304 ranges and 456 requests, and not 100,000.

S3 tells nothing of the keys inside a folder. Where threads are idle, as at one folder with all photos, a
range is cut at a guess (:mod:`fruit_pipeline.photos.keys_ahead`), and another thread lists what lies behind.
A wrong guess costs a request, never a key: a million keys in one folder take about ten requests more, and 20
at most.

At 0.1 s a LIST, a million keys one request after the other would wait for 100 s, beside all work.

What is listed ahead of its turn waits on disk (some 30 MB for a million keys), not in memory.
"""

import tempfile
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from fruit_pipeline.errors import PipelineError
from fruit_pipeline.photos.keys_ahead import key_ahead, key_between

OBJECT_SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
    ]
)
"""An object. ``etag`` is without quotes, ``size`` in bytes."""

MOST_IN_FLIGHT: Final = 16
"""Ranges listed at a time; fewer where the client has fewer connections (botocore's default is 10)."""
_AHEAD: Final = 4
"""Ranges begun or waiting, for each request in flight."""
_SHARE: Final = 32
"""Folders seen so far for each folder that a further range holds."""
_PAGES_AHEAD: Final = 40
"""How far ahead of its last page a range is cut, at least; nobody knows yet how long the folder is."""
_SHARE_AHEAD: Final = 8
"""Pages listed so far for each page ahead: a long folder needs few cuts."""
_PAGES_A_CUT: Final = 80
"""Pages listed for each cut. A cut costs a request at most: nothing lies behind it, or a page lies across."""
_FREE_CUTS: Final = 8
"""Cuts before any page was listed."""


class ListingError(PipelineError):
    """The listing cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class KeyRange:
    """The keys after ``after`` up to and with ``until``, in the order of their UTF-8 bytes."""

    after: str
    until: str | None


def bucket_objects(s3: Any, bucket: str, prefix: str) -> Iterator[pa.RecordBatch]:
    """The objects under ``prefix`` as batches of ``OBJECT_SCHEMA``, sorted by the UTF-8 bytes of the key.

    An object that is there all the while is listed exactly once.
    """
    # One connection is for the names of the folders, which are asked for meanwhile.
    in_flight = max(1, min(MOST_IN_FLIGHT, s3.meta.config.max_pool_connections - 1))
    with (
        tempfile.TemporaryDirectory(prefix="listing-") as folder,
        ThreadPoolExecutor(in_flight, thread_name_prefix="list") as pool,
    ):
        work, waiting = _Work(s3, bucket, prefix, Path(folder), pool, in_flight), deque[_Listed]()
        try:
            for keys in ranges(_folders(s3, bucket, prefix)):
                waiting.append(work.begin(keys))
                if len(waiting) >= in_flight * _AHEAD:
                    yield from work.taken(waiting.popleft())
            while waiting:
                yield from work.taken(waiting.popleft())
        finally:
            # Whoever stopped reading, or an error, stops the requests too.
            work.stopped.set()
            pool.shutdown(cancel_futures=True)


def ranges(cuts: Iterator[str]) -> Iterator[KeyRange]:
    """Adjoining ranges for all keys, cut at some of ``cuts``, the names of folders in key order."""
    after, waiting = "", 0
    for seen, cut in enumerate(cuts):
        # Before the first folder there is nothing, or a few loose files.
        if seen and waiting >= max(1, seen // _SHARE):
            yield KeyRange(after, cut)
            after, waiting = cut, 0
        waiting += 1
    yield KeyRange(after, None)


def _folders(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    """Folders to cut at, in key order: those of the first level that has several, and below few the next.

    A page of S3 names a thousand folders.
    """
    names, is_all = [prefix], True
    while is_all and len(names) == 1:
        level = _level(s3, bucket, names[0])
        names, is_all = next(level, ([], True))
    is_few = is_all and len(names) < MOST_IN_FLIGHT
    for name in names:
        yield name
        if is_few:
            yield from (inner for some, _ in _level(s3, bucket, name) for inner in some)
    for more, _ in level:
        yield from more


def _level(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[list[str], bool]]:
    """The folders directly below ``prefix``, page by page, and whether that is all of them.

    It ends at a page without any: what follows are files, and these are listed but once.
    """
    for page in _pages(s3, Bucket=bucket, Prefix=prefix, Delimiter="/"):
        folders = [folder["Prefix"] for folder in page.get("CommonPrefixes", [])]
        if not folders:
            return
        yield folders, not page["IsTruncated"]


@dataclass
class _Listed:
    """A range that is being listed, or waits on disk."""

    keys: KeyRange
    path: Path
    done: "Future[None]" = field(default_factory=Future)
    rest: "_Listed | None" = None
    """The range after it that it has handed on, known once it is done."""


class _Work:
    """The ranges under way. Each is a thread's, which hands on the rest of its range when others are idle."""

    def __init__(
        self, s3: Any, bucket: str, prefix: str, folder: Path, pool: ThreadPoolExecutor, in_flight: int
    ) -> None:
        self._s3, self._of = s3, {"Bucket": bucket, "Prefix": prefix}
        self._folder, self._pool, self._in_flight = folder, pool, in_flight
        self._numbers, self._lock, self.stopped = count(), threading.RLock(), threading.Event()
        self._running, self._unread, self._pages, self._cuts = 0, 0, 0, 0

    def begin(self, keys: KeyRange) -> _Listed:
        with self._lock:
            self._running += 1
            self._unread += 1
            listed = _Listed(keys, self._folder / f"{next(self._numbers)}.arrow")
            listed.done = self._pool.submit(self._list, listed)
            return listed

    def taken(self, listed: _Listed | None) -> Iterator[pa.RecordBatch]:
        """Of a range and of what it has handed on, once they are listed."""
        while listed is not None:
            listed.done.result()
            with pa.ipc.open_stream(str(listed.path)) as batches:
                yield from (batch for batch in batches if batch.num_rows)
            listed.path.unlink()
            with self._lock:
                self._unread -= 1
            listed = listed.rest

    def _list(self, listed: _Listed) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        try:
            with pa.ipc.new_stream(str(listed.path), OBJECT_SCHEMA, options=options) as writer:
                for batch in self._batches(listed):
                    writer.write_batch(batch)
                    if self.stopped.is_set():
                        break
        finally:
            with self._lock:
                self._running -= 1

    def _batches(self, listed: _Listed) -> Iterator[pa.RecordBatch]:
        last = listed.keys.after
        start = {"StartAfter": last} if last else {}
        for number, page in enumerate(_pages(self._s3, **self._of, **start)):
            entries = page.get("Contents", [])
            # Python compares strings by code point, which is the order of their UTF-8 bytes.
            names = [last, *(entry["Key"] for entry in entries)]
            if names != sorted(names):
                raise ListingError(
                    f"Bucket {self._of['Bucket']!r} does not list its keys in the bytes' order: use a "
                    "general purpose bucket, or an inventory report."
                )
            last, until = names[-1], listed.keys.until
            if until is not None and last >= until:
                yield _batch(entries[: bisect_right(names, until) - 1])
                return
            yield _batch(entries)
            with self._lock:
                self._pages += 1
                if entries and page["IsTruncated"] and number % _PAGES_AHEAD == 0 and self._has_room():
                    self._hand_on(listed, names[1:])

    def _has_room(self) -> bool:
        """Whether a thread is idle, the disk is not behind, and a request more is within the bounds."""
        return (
            self._running < self._in_flight
            and self._unread < self._in_flight * _AHEAD
            and self._cuts < _FREE_CUTS + self._pages // _PAGES_A_CUT
        )

    def _hand_on(self, listed: _Listed, names: list[str]) -> None:
        """Cut a range some pages ahead of ``names``, its last ones, and begin with what lies behind."""
        # The later half: the first names of a folder may lie far from the others.
        keys = listed.keys
        ahead = max(_PAGES_AHEAD, self._pages // _SHARE_AHEAD)
        cut = key_ahead(names[len(names) // 2 :], 2 * ahead) or key_between(names[-1], keys.until)
        if cut is not None and (keys.until is None or cut < keys.until):
            rest = self.begin(KeyRange(cut, keys.until))
            listed.keys, listed.rest, rest.rest = KeyRange(keys.after, cut), rest, listed.rest
            self._cuts += 1


def _pages(s3: Any, **arguments: str) -> Iterable[dict[str, Any]]:
    pages: Iterable[dict[str, Any]] = s3.get_paginator("list_objects_v2").paginate(**arguments)
    return pages


def _batch(entries: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = [
        [entry["Key"] for entry in entries],
        [entry["ETag"].strip('"') for entry in entries],
        [entry["Size"] for entry in entries],
    ]
    return pa.RecordBatch.from_arrays(list(map(pa.array, columns, OBJECT_SCHEMA.types)), schema=OBJECT_SCHEMA)
