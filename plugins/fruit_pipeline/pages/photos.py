"""The photos of a run, one at a time, and the list of those that it has rejected."""

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from fruit_contract.layout import RunLayout
from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_contract.overview import INDEXED_PHOTOS
from fruit_pipeline.pages import near_photos
from fruit_pipeline.pages.result_page import MOST_ROWS, NotFoundError, PageError

MOST_BYTES: Final = 8 * 2**20
"""A photo from a phone has 2 to 6 MB; the API server holds it whole."""
_BEGINNINGS: Final = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"BM": "image/bmp",
}


def photo(s3: Any, result: RunLayout, key: str) -> tuple[bytes, str]:
    """Bytes and media type of a photo that the result's own files name; ``NotFoundError`` for others."""
    check(s3, result, key)
    answer = s3.get_object(Bucket=result.bucket, Key=key)
    if answer["ContentLength"] > MOST_BYTES:
        raise PageError(f"The photo has {answer['ContentLength']:,} bytes; at most {MOST_BYTES:,} are shown.")
    body = answer["Body"].read()
    media_type = _media_type(body)
    if media_type is None:
        raise PageError("The object is no JPEG, PNG, BMP or WebP.")
    return body, media_type


def rejected(s3: Any, result: RunLayout) -> Iterator[Sequence[object]]:
    """Key and reason of every photo without a row, below a line with their names."""
    from fruit_pipeline.results.tables import batches_under, rows_of  # pyarrow is slow to import

    batches = batches_under(s3, result.bucket, result.rejected, ["path", "reason"])
    root = result.uri("")
    yield "key", "reason"
    for path, reason in rows_of(batches, ("path", "reason")):
        yield path.removeprefix(root), reason


def components(s3: Any, result: RunLayout) -> Iterator[Sequence[object]]:
    """Key, label and components of every row, below a line with their names.

    ``PageError`` for a large result.
    """
    overview = _overview(s3, result)
    rows = sum(label["processed"] for label in json.loads(overview)["labels"].values()) if overview else 0
    if rows > MOST_ROWS:
        raise PageError(
            f"The result has more than {MOST_ROWS:,} rows: read {result.uri(result.pca_output)} itself."
        )
    return _components(s3, result)


def _components(s3: Any, result: RunLayout) -> Iterator[Sequence[object]]:
    from fruit_pipeline.results.tables import batches_under, rows_of  # pyarrow is slow to import

    columns = ("path", "label", "features")
    root, count = result.uri(""), 0
    batches = batches_under(s3, result.bucket, result.pca_output, list(columns))
    for path, label, features in rows_of(batches, columns):
        if not count:
            count = len(features)
            yield "key", "label", *(f"component_{place}" for place in range(1, count + 1))
        yield path.removeprefix(root), label, *features


def check(s3: Any, result: RunLayout, key: str) -> None:
    """``NotFoundError`` for a photo that the result's overview, its index and its manifest do not name."""
    overview = _overview(s3, result)
    if overview and key in _keys(overview):
        return
    index = near_photos.index_of(s3, result)
    if (index is None or key not in index.places) and not _states(s3, result, key):
        raise NotFoundError(f"The run has no photo {key!r}: check the key.")


def why_alone(s3: Any, result: RunLayout, key: str) -> str:
    """Why no photos can be named that look like a photo of the result, in one sentence."""
    states = _states(s3, result, key)
    if LIVE in states:
        return (
            f"The photo is in the result, but not among the {INDEXED_PHOTOS:,} at most that the run has "
            "indexed: only those are compared."
        )
    if REJECTED in states:
        return f"The photo was rejected, and has no components: {states[REJECTED]}."
    return "The photo has no components: the run did not get so far, or has rejected it."


def _states(s3: Any, result: RunLayout, key: str) -> dict[str, str | None]:
    """What the manifest says of a photo that counts: its state, and why it was rejected."""
    from fruit_pipeline.results.tables import rows_with  # pyarrow is slow to import

    rows = rows_with(s3, result.bucket, result.manifest, key, ("state", "reason"))
    return {state: reason for state, reason in rows if state != DEAD}


def _overview(s3: Any, result: RunLayout) -> bytes | None:
    try:
        return bytes(s3.get_object(Bucket=result.bucket, Key=result.overview)["Body"].read())
    except s3.exceptions.NoSuchKey:  # of a run before there were any, or that did not get so far
        return None


@lru_cache(maxsize=8)
def _keys(overview: bytes) -> frozenset[str]:
    document = json.loads(overview)
    return frozenset(photo["key"] for photo in [*document["sample"], *document["rejected"]])


def _media_type(body: bytes) -> str | None:
    """By the bytes: what the object says of itself, or its name, may be anything."""
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for begin, kind in _BEGINNINGS.items() if body.startswith(begin)), None)
