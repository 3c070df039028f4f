"""S3's listing merged with the manifest of the current result, key by key: what is new, and what is not.

Both come in the order of the keys, so that one pass with one row of each in hand is enough, whatever
their number. A photo is known by key, ETag and size; clocks are not asked.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, NamedTuple

import pyarrow as pa

from fruit_contract.manifest import DEAD, LIVE, MANIFEST_COLUMNS, may_pass

MANIFEST_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.type_for_alias(kind), nullable=name == "reason") for name, kind in MANIFEST_COLUMNS]
)


class Photo(NamedTuple):
    """A photo as S3 lists it."""

    key: str
    etag: str
    size: int


class Row(NamedTuple):
    """A row of a manifest; columns as in :mod:`fruit_contract.manifest`."""

    key: str
    etag: str
    size: int
    state: str
    reason: str | None
    source: str


@dataclass
class Changes:
    """How many photos there are, and how they differ from those of the current result."""

    found: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0
    reused: int = 0
    """As they were, with a row of features or a reason why there is none."""
    work_bytes: int = 0
    """Of the new and the changed ones."""

    @property
    def any(self) -> int:
        return self.new + self.changed + self.deleted

    def __str__(self) -> str:
        return (
            f"{self.found:,} photos: {self.new:,} new, {self.changed:,} changed, {self.reused:,} as they "
            f"were; {self.deleted:,} deleted"
        )


class OrderError(RuntimeError):
    """Keys that do not come in their order cannot be merged."""


def merged(
    photos: Iterable[Photo],
    manifest: Iterable[Row],
    source: str,
    changes: Changes,
    lost: Collection[str] = (),
) -> Iterator[Row]:
    """The manifest of a run over ``photos``, as it will be if none of them is rejected, in key order.

    The rows of the run's own ``source`` are its work. Rows that lie in a source of ``lost`` are taken for
    not there. ``changes`` is counted up.
    """
    known = ((key, list(rows)) for key, rows in groupby(_ordered(manifest, "manifest"), lambda row: row.key))
    listed = _ordered(photos, "listing", distinct=True)
    photo, group = next(listed, None), next(known, None)
    while photo or group:
        if group is None or (photo is not None and photo.key < group[0]):
            assert photo is not None
            yield from _of_key(photo, [], source, changes, lost)
            photo = next(listed, None)
        elif photo is None or group[0] < photo.key:
            yield from _of_key(None, group[1], source, changes, lost)
            group = next(known, None)
        else:
            yield from _of_key(photo, group[1], source, changes, lost)
            photo, group = next(listed, None), next(known, None)


def _of_key(
    photo: Photo | None, rows: list[Row], source: str, changes: Changes, lost: Collection[str]
) -> Iterator[Row]:
    """The rows of one key: those that are dead, then the one that counts."""
    current = None
    for row in rows:
        if row.source in lost:
            continue
        if row.state == DEAD:
            yield row
        elif row.state == LIVE or not may_pass(row.reason or ""):
            current = row
    if photo is not None and current is not None and photo == Photo(*current[:3]):
        changes.found += 1
        changes.reused += 1
        yield current
        return
    if current is not None and current.state == LIVE:
        yield current._replace(state=DEAD)
    if photo is None:
        # Without a current row it was gone before: what is left of it is dead.
        changes.deleted += current is not None
        return
    changes.found += 1
    changes.work_bytes += photo.size
    if current is None:
        changes.new += 1
    else:
        changes.changed += 1
    yield Row(*photo, LIVE, None, source)


def _ordered(rows: Iterable[Any], what: str, distinct: bool = False) -> Iterator[Any]:
    """The rows as they come; ``OrderError`` when a key is smaller than the one before it, or the same."""
    last = None
    for row in rows:
        if last is not None and (row.key < last or (distinct and row.key == last)):
            raise OrderError(
                f"The {what} has {row.key!r} after {last!r}, out of the order of keys: it cannot be merged."
            )
        last = row.key
        yield row
