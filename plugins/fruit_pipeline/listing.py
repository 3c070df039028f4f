"""The photos of a bucket, in key order: what a run starts from.

They come from S3 itself (:mod:`fruit_pipeline.bucket_listing`), or from a report of S3 Inventory
(:mod:`fruit_pipeline.inventory`). An object counts as a photo by its name: one of zero bytes is listed too,
and the featurize step rejects it with its reason. Folder markers and other files are counted and left out. An
upload in progress is nothing that S3 lists. Keys that differ only in case or in Unicode form are different
photos.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from fruit_contract.layout import is_image_key
from fruit_pipeline.bucket_listing import ListingError, bucket_objects
from fruit_pipeline.inventory import inventory_objects
from fruit_pipeline.object_pages import OBJECT_SCHEMA

__all__ = ["LISTING_SCHEMA", "Counts", "ListingError", "listed"]

LISTING_SCHEMA: Final = OBJECT_SCHEMA
"""A photo: key, etag (without quotes), size in bytes, last_modified (UTC)."""

_BATCH_ROWS: Final = 30_000
"""A batch of the listing has so many rows or a page more, but for the last one: at most 35 MB of keys."""


@dataclass
class Counts:
    """What was found so far."""

    images: int = 0
    image_bytes: int = 0
    ignored: int = 0
    """Objects that are not named like images, folder markers among them."""


def listed(
    s3: Any, bucket: str, prefix: str, counts: Counts, inventory: str = ""
) -> Iterator[pa.RecordBatch]:
    """The photos under ``prefix`` as batches of ``LISTING_SCHEMA``, sorted by the UTF-8 bytes of the key.

    ``inventory`` is the address of a report's manifest.json, which is then read and not the bucket.
    ``counts`` is complete when the iterator is exhausted. Memory does not grow with the number of keys.
    ``ListingError`` in one sentence where the listing cannot be used.
    """
    waiting: list[pa.RecordBatch] = []
    if inventory:
        objects = inventory_objects(s3, inventory, bucket, prefix)
    else:
        objects = bucket_objects(s3, bucket, prefix)
    for batch in objects:
        images = _images(batch, counts)
        waiting.append(images)
        if sum(each.num_rows for each in waiting) >= _BATCH_ROWS:
            yield pa.concat_batches(waiting)
            waiting = []
    if waiting and (rest := pa.concat_batches(waiting)).num_rows:
        yield rest


def _images(batch: pa.RecordBatch, counts: Counts) -> pa.RecordBatch:
    is_image = [is_image_key(key) for key in batch.column("key").to_pylist()]
    images = batch.filter(pa.array(is_image, pa.bool_()))
    counts.images += images.num_rows
    counts.image_bytes += sum(images.column("size").to_pylist())
    counts.ignored += batch.num_rows - images.num_rows
    return images
