"""Pages of ListObjectsV2 as Arrow record batches.

botocore needs 61 ms of one core for a page of a thousand keys, most of it for dates, and threads do not share
that work: a million keys would take it a minute. Here the entries of a page are taken from its XML before
botocore parses the rest (5 ms), by botocore's own event ``before-parse``. Signing, retries and errors stay
botocore's.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_plus
from xml.etree import ElementTree

import pyarrow as pa
import pyarrow.compute as pc

OBJECT_SCHEMA: Final = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("last_modified", pa.timestamp("ms", tz="UTC")),
    ]
)
"""An object. ``etag`` is without quotes; ``last_modified`` is null where its source does not say."""

_EVENT: Final = "before-parse.s3.ListObjectsV2"
_BATCH: Final = "ObjectBatch"
_ours = threading.local()


@dataclass(frozen=True)
class Page:
    """At most a thousand objects and folders."""

    objects: pa.RecordBatch
    """Of ``OBJECT_SCHEMA``, in the order of S3."""
    folders: list[str]
    """Common prefixes, where a delimiter was given."""
    next: str | None
    """The continuation token of the page that follows."""


@contextmanager
def reading(s3: Any) -> Iterator[None]:
    """While :func:`pages` are read with this client, from any number of threads."""
    s3.meta.events.register(_EVENT, _take_objects, unique_id=_BATCH, unique_id_uses_count=True)
    try:
        yield
    finally:
        s3.meta.events.unregister(_EVENT, unique_id=_BATCH, unique_id_uses_count=True)


def pages(s3: Any, **arguments: Any) -> Iterator[Page]:
    """Every page of one ListObjectsV2, within :func:`reading`."""
    while True:
        answer = _one(s3, arguments)
        page = Page(
            answer[_BATCH],
            [folder["Prefix"] for folder in answer.get("CommonPrefixes", [])],
            answer.get("NextContinuationToken"),
        )
        yield page
        if page.next is None:
            return
        arguments["ContinuationToken"] = page.next


def _one(s3: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    # The client may have other users: their answers are left as they are.
    _ours.asking = True
    try:
        answer: dict[str, Any] = s3.list_objects_v2(**arguments)
    finally:
        _ours.asking = False
    return answer


def _take_objects(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    if not getattr(_ours, "asking", False) or response_dict["status_code"] != 200:
        return
    try:
        root = ElementTree.fromstring(response_dict["body"])
    except ElementTree.ParseError:
        return  # a broken answer is botocore's to report
    space = root.tag.removesuffix("ListBucketResult")
    entries = root.findall(f"{space}Contents")
    is_encoded = root.findtext(f"{space}EncodingType") == "url"
    customized_response_dict[_BATCH] = _batch(entries, space, is_encoded)
    root[:] = [element for element in root if element.tag != f"{space}Contents"]
    response_dict["body"] = ElementTree.tostring(root)


def _batch(entries: list[ElementTree.Element], space: str, is_encoded: bool) -> pa.RecordBatch:
    def texts(name: str) -> list[str]:
        return [entry.findtext(space + name, "") for entry in entries]

    keys = texts("Key")
    columns = [
        pa.array([unquote_plus(key) for key in keys] if is_encoded else keys, pa.string()),
        pc.utf8_trim(pa.array(texts("ETag"), pa.string()), '"'),
        pa.array(texts("Size"), pa.string()).cast(pa.int64()),
        pa.array(texts("LastModified"), pa.string()).cast(pa.timestamp("ms", tz="UTC")),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=OBJECT_SCHEMA)
