"""moto's store of a bucket's objects with its names in order, so that a page of a listing costs a page.

moto itself goes through all keys for each page, and sorts them.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator
from itertools import islice
from threading import Lock
from typing import Any, Final

from moto.s3.models import FakeDeleteMarker, FakeKey
from moto.s3.utils import _VersionedKeyStore

_LAST: Final = "\U0010ffff" * 256
"""No key of 1,024 bytes, which is S3's limit, sorts behind its folder and this."""


class SortedKeyStore(_VersionedKeyStore):  # type: ignore[misc]
    """The versions of each key. Python sorts strings by code point, as S3 does by the bytes of UTF-8."""

    def __init__(self) -> None:
        super().__init__()
        self._names: list[str] = []
        self._lock = Lock()

    def __setitem__(self, key: str, value: Any) -> None:
        with self._lock:
            if key not in self:
                insort(self._names, key)
            super().__setitem__(key, value)

    def setlist(self, key: str, list_: Any) -> None:
        with self._lock:
            if key not in self:
                insort(self._names, key)
            super().setlist(key, list_)

    def pop(self, key: str) -> None:
        with self._lock:
            super().pop(key)
            del self._names[bisect_left(self._names, key)]

    def page(self, prefix: str, delimiter: str, after: str, most: int) -> list[FakeKey | str]:
        """The first ``most`` objects and common prefixes (strings) that sort behind ``after``.

        Deleted objects are left out, and with them the prefixes below which there is nothing else.
        """
        with self._lock:
            return list(islice(self._entries(prefix, delimiter, after), most))

    def _entries(self, prefix: str, delimiter: str, after: str) -> Iterator[FakeKey | str]:
        names = self._names
        at = max(bisect_left(names, prefix), bisect_right(names, after))
        while at < len(names) and (name := names[at]).startswith(prefix):
            at += 1
            key = self[name]
            if isinstance(key, FakeDeleteMarker):
                continue
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                yield key
                continue
            folder = name[: end + len(delimiter)]
            if folder > after:
                yield folder
            at = bisect_right(names, folder + _LAST, lo=at)
