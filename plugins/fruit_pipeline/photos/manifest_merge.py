"""Merge S3's list with the manifest of the current result, key by key.

Both come in the order of the keys, so that one pass with one row of each in hand is enough, whatever
their number. A photo is known by key, ETag and size; clocks are not asked.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

from fruit_contract.manifest import DEAD, LIVE, REJECTED, may_pass
from fruit_pipeline.errors import PipelineError


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
    """With a row of features that is there already, or a reason why there is none."""
    recovered: int = 0
    """Of the reused ones, those that the current result has not: an unpublished or an older run made them."""
    work_bytes: int = 0
    """Of the new and the changed ones."""
    ignored: int = 0
    """Objects that are not named like images, folder markers among them."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Of them, the files by their suffixes."""

    @property
    def any(self) -> int:
        return self.new + self.changed + self.deleted + self.recovered

    def __str__(self) -> str:
        recovered = f" or featurized by an earlier run ({self.recovered:,})" if self.recovered else ""
        return (
            f"{self.found:,} photos: {self.new:,} new, {self.changed:,} changed, {self.reused:,} as they "
            f"were{recovered}; {self.deleted:,} deleted"
        )


class OrderError(PipelineError):
    """Keys that do not come in their order cannot be merged."""


def merged(
    photos: Iterable[Photo],
    manifest: Iterable[Row],
    source: str,
    changes: Changes,
    lost: Collection[str] = (),
    unpublished: Collection[str] = (),
) -> Iterator[Row]:
    """The manifest of a run over ``photos``, as it will be if none of them is rejected, in key order.

    The rows of the run's own ``source`` are its work. Rows that lie in a source of ``lost`` are taken for
    not there. Those of ``unpublished`` sources, rejected ones too, stand in no result, and can be used all
    the same. So can the dead row of a photo that is back as it was. ``changes`` is counted up.
    """
    known = ((key, list(rows)) for key, rows in groupby(_ordered(manifest, "manifest"), lambda row: row.key))
    listed = _ordered(photos, "listing", distinct=True)
    photo, group = next(listed, None), next(known, None)
    while photo or group:
        if group is None or (photo is not None and photo.key < group[0]):
            assert photo is not None
            yield from _of_key(photo, [], source, changes, lost, unpublished)
            photo = next(listed, None)
        elif photo is None or group[0] < photo.key:
            yield from _of_key(None, group[1], source, changes, lost, unpublished)
            group = next(known, None)
        else:
            yield from _of_key(photo, group[1], source, changes, lost, unpublished)
            photo, group = next(listed, None), next(known, None)


def _of_key(
    photo: Photo | None,
    rows: list[Row],
    source: str,
    changes: Changes,
    lost: Collection[str],
    unpublished: Collection[str],
) -> Iterator[Row]:
    """The rows of one key: those that are dead, then the one that counts."""
    there = [row for row in rows if row.source not in lost]
    usable = [row for row in there if row.state != REJECTED or not may_pass(row.reason or "")]
    # The current result's own comes first.
    usable.sort(key=lambda row: (row.state == DEAD, row.source in unpublished))
    chosen = next((row for row in usable if photo == Photo(*row[:3])), None)
    for row in there:
        if row.state != REJECTED and row is not chosen:
            yield row._replace(state=DEAD)
    known = any(row.state != DEAD and row.source not in unpublished for row in usable)
    if photo is None:
        # Without a current row it was gone before: what is left of it is dead.
        changes.deleted += known
        return
    changes.found += 1
    if chosen is not None:
        changes.reused += 1
        changes.recovered += chosen.state == DEAD or chosen.source in unpublished
        yield chosen._replace(source="") if chosen.state == REJECTED else chosen._replace(state=LIVE)
        return
    changes.work_bytes += photo.size
    if known:
        changes.changed += 1
    else:
        changes.new += 1
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
