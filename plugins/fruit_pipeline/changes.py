"""What is new since the current result: S3's listing merged with the result's manifest, key by key.

Both come in the order of the keys, so that one pass with one row of each in hand is enough, whatever
their number. A photo is known by key, ETag and size; clocks are not asked. S3's own answer decides:
what has brought a run about, and in which order, changes nothing.
"""

import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa

from fruit_contract.layout import FEATURES_PREFIX, RunLayout
from fruit_contract.manifest import DEAD, LIVE, MANIFEST_COLUMNS, REJECTED, may_pass
from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_pipeline import listing
from fruit_pipeline.publication import read_pointer
from fruit_pipeline.tables import RowWriter, batches_under, rows_of

WORK_LIST_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.type_for_alias(kind), nullable=False) for name, kind in WORK_LIST_COLUMNS]
)
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


# --- on S3 ---------------------------------------------------------------------------------------------


def count(s3: Any, bucket: str, prefix: str) -> Changes:
    """What waits under a prefix: how the photos differ from those of the current result.

    Nothing is written. Without a result of this prefix, all photos are new.
    """
    changes, current = Changes(), read_pointer(s3, bucket)
    same_prefix = current.pointer and current.pointer.get("features", {}).get("input_prefix") == prefix
    manifest = current.manifest(bucket) if same_prefix else None
    rows, lost = _known(s3, bucket, manifest)
    for _ in merged(_photos(s3, bucket, prefix, listing.Counts()), rows, "", changes, lost):
        pass
    return changes


def write_lists(
    s3: Any, layout: RunLayout, prefix: str, manifest: str | None
) -> tuple[Changes, listing.Counts]:
    """List the photos, write the run's draft of a manifest, and the work list where there is work.

    ``manifest`` is the prefix of the manifest to build on; None: all photos are new. Without a photo
    nothing is written.
    """
    changes, counts = Changes(), listing.Counts()
    rows, lost = _known(s3, layout.bucket, manifest)
    with tempfile.TemporaryDirectory() as folder:
        with (
            RowWriter(Path(folder, "work.parquet"), WORK_LIST_SCHEMA) as work,
            RowWriter(Path(folder, "draft.parquet"), MANIFEST_SCHEMA) as draft,
        ):
            photos = _photos(s3, layout.bucket, prefix, counts)
            for row in merged(photos, rows, layout.source, changes, lost):
                draft.write(row)
                if row.source == layout.source:
                    work.write((row.key, layout.uri(row.key), row.etag, row.size))
        if changes.found:
            s3.upload_file(str(draft.path), layout.bucket, layout.draft)
        if work.rows:
            s3.upload_file(str(work.path), layout.bucket, layout.work_list)
    return changes, counts


def _photos(s3: Any, bucket: str, prefix: str, counts: listing.Counts) -> Iterator[Photo]:
    return map(Photo._make, rows_of(listing.listed(s3, bucket, prefix, counts), Photo._fields))


def _known(s3: Any, bucket: str, manifest: str | None) -> tuple[Iterator[Row], set[str]]:
    """The rows of a manifest, and its sources that are lost."""
    if manifest is None:
        return iter(()), set()
    return _manifest_rows(s3, bucket, manifest), _lost_sources(s3, bucket, manifest)


def _manifest_rows(s3: Any, bucket: str, manifest: str) -> Iterator[Row]:
    columns = Row._fields
    return map(Row._make, rows_of(batches_under(s3, bucket, manifest, list(columns)), columns))


def sources_of(s3: Any, bucket: str, manifest: str) -> set[str]:
    """The sources whose rows a manifest refers to, those of dead rows too."""
    found: set[str] = set()
    for batch in batches_under(s3, bucket, manifest, ["source", "state"]):
        found.update(
            source
            for source, state in zip(
                *(batch.column(name).to_pylist() for name in ("source", "state")), strict=True
            )
            if state != REJECTED
        )
    return found


def _lost_sources(s3: Any, bucket: str, manifest: str) -> set[str]:
    """Sources of a manifest that are not there any more, such as those that a lifecycle rule removed."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=FEATURES_PREFIX, Delimiter="/")
    there = {
        entry["Prefix"].removeprefix(FEATURES_PREFIX).rstrip("/")
        for page in pages
        for entry in page.get("CommonPrefixes", [])
    }
    return sources_of(s3, bucket, manifest) - there
