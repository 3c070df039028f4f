"""What is new since the current result, by S3's own answer: what has brought a run about changes nothing."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from fruit_contract.layout import FEATURES_PREFIX, RunLayout
from fruit_contract.manifest import REJECTED
from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_pipeline import listing
from fruit_pipeline.manifest_merge import MANIFEST_SCHEMA, Changes, Photo, Row, merged
from fruit_pipeline.publication import read_pointer
from fruit_pipeline.tables import RowWriter, batches_under, rows_of

WORK_LIST_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.type_for_alias(kind), nullable=False) for name, kind in WORK_LIST_COLUMNS]
)


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
    s3: Any, layout: RunLayout, prefix: str, manifest: str | None, inventory: str = ""
) -> tuple[Changes, listing.Counts]:
    """List the photos, write the run's draft of a manifest, and the work list where there is work.

    ``manifest`` is the prefix of the manifest to build on; None: all photos are new. Without a photo
    nothing is written. ``inventory`` is the address of a report's manifest.json to list from, or empty.
    """
    changes, counts = Changes(), listing.Counts()
    rows, lost = _known(s3, layout.bucket, manifest)
    with tempfile.TemporaryDirectory() as folder:
        with (
            RowWriter(Path(folder, "work.parquet"), WORK_LIST_SCHEMA) as work,
            RowWriter(Path(folder, "draft.parquet"), MANIFEST_SCHEMA) as draft,
        ):
            photos = _photos(s3, layout.bucket, prefix, counts, inventory)
            for row in merged(photos, rows, layout.source, changes, lost):
                draft.write(row)
                if row.source == layout.source:
                    work.write((row.key, layout.uri(row.key), row.etag, row.size))
        if changes.found:
            s3.upload_file(str(draft.path), layout.bucket, layout.draft)
        if work.rows:
            s3.upload_file(str(work.path), layout.bucket, layout.work_list)
    return changes, counts


def _photos(
    s3: Any, bucket: str, prefix: str, counts: listing.Counts, inventory: str = ""
) -> Iterator[Photo]:
    return map(Photo._make, rows_of(listing.listed(s3, bucket, prefix, counts, inventory), Photo._fields))


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
