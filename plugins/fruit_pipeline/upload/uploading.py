"""The upload of a folder: many requests at a time, nothing sent twice, and an account of every file.

What is there already is known from one listing of the prefix. A second call after an interruption sends the
rest. Two workers never have the same file, and an object is put by one request, or completed by one: there
is no half object to find.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from rich.console import Console

from fruit_pipeline.photos.bucket_listing import bucket_objects
from fruit_pipeline.upload.checksums import UnreadableError
from fruit_pipeline.upload.folder import Folder, Photo, Skipped, twins
from fruit_pipeline.upload.objects import Objects, StoppedError
from fruit_pipeline.upload.upload_bar import UploadBar

IN_FLIGHT: Final = 16
"""Photos on their way at a time: with more, a client in Python has no more to give."""

Outcome = Literal["uploaded", "already there"]


@dataclass
class Summary:
    """What an upload did. Its numbers hold for an upload that was ended early, too."""

    uploaded: int = 0
    uploaded_bytes: int = 0
    already_there: int = 0
    skipped: list[Skipped] = field(default_factory=list)
    twins: list[list[str]] = field(default_factory=list)
    """Keys that differ in case or Unicode form alone."""

    @property
    def reasons(self) -> dict[str, int]:
        """How many files were skipped, by reason."""
        return dict(Counter(each.reason for each in self.skipped))


def send(s3: Any, folder: Folder, bucket: str, prefix: str, console: Console, summary: Summary) -> None:
    """Bring the folder's photos below ``prefix``, and note in ``summary`` what became of each file.

    KeyboardInterrupt, or the first error of S3, lets the requests on their way end and starts no other.
    """
    summary.skipped += folder.skipped
    summary.twins = twins(photo.key for photo in folder.photos)
    there = _listed(s3, bucket, prefix, folder)
    work = _Work(Objects(s3, bucket), folder.photos, there, summary)
    with UploadBar(console, len(folder.photos)) as bar, ThreadPoolExecutor(IN_FLIGHT) as pool:
        running = [
            pool.submit(work.run, lambda: bar.advance(summary.uploaded_bytes)) for _ in range(IN_FLIGHT)
        ]
        try:
            for each in running:
                each.result()
        finally:
            work.stop()


def _listed(s3: Any, bucket: str, prefix: str, folder: Folder) -> dict[str, tuple[int, str]]:
    """Size and ETag of the objects that have a photo's key."""
    wanted = {photo.key for photo in folder.photos}
    return {
        key: (size, etag)
        for batch in bucket_objects(s3, bucket, prefix)
        for key, size, etag in zip(
            *(batch.column(name).to_pylist() for name in ("key", "size", "etag")), strict=True
        )
        if key in wanted
    }


class _Work:
    """The photos still to be done, shared by the workers."""

    def __init__(
        self, objects: Objects, photos: list[Photo], there: dict[str, tuple[int, str]], summary: Summary
    ) -> None:
        self._objects, self._there, self._summary = objects, there, summary
        self._left: Iterator[Photo] = iter(photos)
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self, advance: Any) -> None:
        """Until no photo is left, or until an error or :meth:`stop` ends all workers."""
        try:
            while (photo := self._next()) is not None:
                self._do(photo)
                advance()
        except StoppedError:
            pass
        except BaseException:
            self.stop()
            raise

    def _next(self) -> Photo | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._left, None)

    def _do(self, photo: Photo) -> None:
        outcome: Outcome = "already there"
        try:
            if photo.key not in self._there or not self._objects.has(photo, *self._there[photo.key]):
                self._objects.put(photo, self._check)
                outcome = "uploaded"
        except UnreadableError as error:
            with self._lock:
                self._summary.skipped.append(Skipped(photo.path, f"cannot be read ({error})"))
            return
        with self._lock:
            if outcome == "uploaded":
                self._summary.uploaded += 1
                self._summary.uploaded_bytes += photo.size
            else:
                self._summary.already_there += 1

    def _check(self) -> None:
        if self._stopped.is_set():
            raise StoppedError
