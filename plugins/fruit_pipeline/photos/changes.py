"""What is new since the current result, read from S3 and never from an event."""

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from fruit_contract.layout import RunLayout
from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_pipeline.photos.known_features import NONE_KNOWN, KnownFeatures
from fruit_pipeline.photos.listing import listed
from fruit_pipeline.photos.manifest_merge import Changes, Photo, merged
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA
from fruit_pipeline.results.publication import read_pointer
from fruit_pipeline.results.tables import RowWriter, rows_of

WORK_LIST_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.type_for_alias(kind), nullable=False) for name, kind in WORK_LIST_COLUMNS]
)


def count(s3: Any, bucket: str, prefix: str, minutes: float = math.inf) -> Changes:
    """What waits under a prefix: how the photos differ from those of the current result.

    Nothing is written. Without a result of this prefix, all photos are new. ``ListingError`` after so many
    ``minutes``.
    """
    changes, current = Changes(), read_pointer(s3, bucket)
    same_prefix = current.pointer and current.pointer.get("features", {}).get("input_prefix") == prefix
    known = KnownFeatures(current.manifest(bucket) if same_prefix else None)
    for _ in merged(_photos(s3, bucket, prefix, changes, None, minutes), known.rows(s3, bucket), "", changes):
        pass
    return changes


def write_lists(
    s3: Any,
    layout: RunLayout,
    prefix: str,
    known: KnownFeatures = NONE_KNOWN,
    inventory: str | None = None,
    minutes: float = math.inf,
) -> Changes:
    """List the photos, write the run's draft of a manifest, and the work list where there is work.

    What is ``known`` is no work. Without a photo nothing is written. ``inventory`` is the address of a
    report's manifest.json to list from, if any. ``ListingError`` after so many ``minutes``.
    """
    changes = Changes()
    rows = known.rows(s3, layout.bucket)
    with tempfile.TemporaryDirectory() as folder:
        with (
            RowWriter(Path(folder, "work.parquet"), WORK_LIST_SCHEMA) as work,
            RowWriter(Path(folder, "draft.parquet"), MANIFEST_SCHEMA) as draft,
        ):
            photos = _photos(s3, layout.bucket, prefix, changes, inventory, minutes)
            for row in merged(photos, rows, layout.source, changes, known.lost, known.unpublished):
                draft.write(row)
                if row.source == layout.source:
                    work.write((row.key, layout.uri(row.key), row.etag, row.size))
        if changes.found:
            s3.upload_file(str(draft.path), layout.bucket, layout.draft)
        if work.rows:
            s3.upload_file(str(work.path), layout.bucket, layout.work_list)
    return changes


def _photos(
    s3: Any, bucket: str, prefix: str, changes: Changes, inventory: str | None, minutes: float
) -> Iterator[Photo]:
    return map(Photo._make, rows_of(listed(s3, bucket, prefix, changes, inventory, minutes), Photo._fields))
