"""The photos of a bucket, in key order: what a run starts from.

They come from S3 itself (:mod:`fruit_pipeline.photos.bucket_listing`), or from a report of S3 Inventory
(:mod:`fruit_pipeline.photos.inventory`). An object counts as a photo by its name: one of zero bytes is listed
too, and the featurize step rejects it with its reason. Folder markers and other files are counted and left
out. An upload in progress is nothing that S3 lists. Keys that differ only in case or in Unicode form are
different photos.
"""

import math
import time
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from fruit_contract.layout import is_image_key, suffix_of
from fruit_pipeline.photos.bucket_listing import ListingError, bucket_objects
from fruit_pipeline.photos.inventory import inventory_objects
from fruit_pipeline.photos.manifest_merge import Changes

_BATCH_ROWS: Final = 30_000
"""A batch of the listing has so many rows or a page more, but for the last one: at most 35 MB of keys."""


def listed(
    s3: Any,
    bucket: str,
    prefix: str,
    changes: Changes,
    inventory: str | None = None,
    minutes: float = math.inf,
) -> Iterator[pa.RecordBatch]:
    """The photos under ``prefix`` as batches of ``OBJECT_SCHEMA``, sorted by the UTF-8 bytes of the key.

    ``inventory`` is the address of a report's manifest.json, which is then read and not the bucket.
    ``changes.ignored`` and ``left_out`` are counted up. Memory does not grow with the number of keys.
    ``ListingError`` in one sentence where the listing cannot be used, or is not done after so many
    ``minutes``, what is made of it included.
    """
    latest, seen = time.monotonic() + minutes * 60, 0
    waiting: list[pa.RecordBatch] = []
    if inventory:
        objects = inventory_objects(s3, inventory, bucket, prefix)
    else:
        objects = bucket_objects(s3, bucket, prefix)
    for batch in objects:
        seen += batch.num_rows
        if time.monotonic() > latest:
            report = "" if inventory else "give inventory the manifest.json of an S3 Inventory report, or "
            raise ListingError(
                f"s3://{bucket}/{prefix} has more than the {seen:,} objects that were listed in {minutes:g} "
                f"minutes: {report}raise FRUITS_PLAN_MINUTES."
            )
        keys = batch.column("key").to_pylist()
        named = list(map(is_image_key, keys))
        photos = batch.filter(pa.array(named, pa.bool_()))
        changes.ignored += batch.num_rows - photos.num_rows
        others = (key for key, is_image in zip(keys, named, strict=True) if not is_image)
        changes.left_out.update(suffix_of(key) for key in others if not key.endswith("/"))
        waiting.append(photos)
        if sum(each.num_rows for each in waiting) >= _BATCH_ROWS:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting and (rest := pa.concat_batches(waiting)).num_rows:
        yield rest
