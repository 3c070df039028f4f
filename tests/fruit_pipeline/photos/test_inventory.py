"""A report of S3 Inventory gives the same listing as the bucket, in the same order, or one sentence why."""

import gzip
import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fruit_pipeline.photos import external_sort
from fruit_pipeline.photos.bucket_listing import OBJECT_SCHEMA, ListingError
from fruit_pipeline.photos.listing import listed
from fruit_pipeline.photos.manifest_merge import Changes
from tests.fruit_pipeline.conftest import BUCKET

Row = dict[str, Any]
MANIFEST = "inventory/fruits/daily/2026-11-20T01-00Z/manifest.json"
URI = f"s3://{BUCKET}/{MANIFEST}"
AT = datetime(2026, 11, 20, 10, 0, 0, 123000, tzinfo=UTC)
CSV_NAMES = {
    "bucket": "Bucket",
    "key": "Key",
    "version_id": "VersionId",
    "is_latest": "IsLatest",
    "is_delete_marker": "IsDeleteMarker",
    "size": "Size",
    "last_modified_date": "LastModifiedDate",
    "e_tag": "ETag",
    "storage_class": "StorageClass",
}
PARQUET_TYPES = {
    "is_latest": ("boolean", pa.bool_()),
    "is_delete_marker": ("boolean", pa.bool_()),
    "size": ("int64", pa.int64()),
    "last_modified_date": ("int64", pa.timestamp("ms", tz="UTC")),
}
CURRENT = ("bucket", "key", "size", "last_modified_date", "e_tag", "storage_class")
VERSIONS = (
    "bucket", "key", "version_id", "is_latest", "is_delete_marker", "size", "last_modified_date", "e_tag",
)  # fmt: skip


def row(key: str, **given: Any) -> Row:
    return {
        "bucket": BUCKET,
        "key": key,
        "version_id": "v1",
        "is_latest": True,
        "is_delete_marker": False,
        "size": 6000,
        "last_modified_date": AT,
        "e_tag": hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(),
        "storage_class": "STANDARD",
        **given,
    }


def as_csv(rows: list[Row], columns: tuple[str, ...]) -> tuple[str, bytes]:
    """As S3 writes it: every value quoted, keys as in a form, times in ISO, no head."""

    def text(name: str, value: Any) -> str:
        if value is None:
            return ""
        if name == "key":
            return quote_plus(value, "/")
        if isinstance(value, datetime):
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return str(value).lower() if isinstance(value, bool) else str(value)

    lines = [",".join(f'"{text(name, each[name])}"' for name in columns) + "\n" for each in rows]
    return ", ".join(CSV_NAMES[name] for name in columns), gzip.compress("".join(lines).encode())


def as_parquet(rows: list[Row], columns: tuple[str, ...]) -> tuple[str, bytes]:
    types = {name: PARQUET_TYPES.get(name, ("binary", pa.string())) for name in columns}
    described = "".join(f"optional {kind} {name};  " for name, (kind, _) in types.items())
    schema = pa.schema([(name, arrow) for name, (_, arrow) in types.items()])
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{n: each[n] for n in columns} for each in rows], schema), file)
    return "message s3.inventory {  " + described + "}", file.getvalue()


FORMATS: dict[str, Callable[..., tuple[str, bytes]]] = {"CSV": as_csv, "Parquet": as_parquet}


def report(s3: Any, file_format: str, *files: list[Row], columns: tuple[str, ...] = CURRENT) -> None:
    schema, described = "", []
    for number, rows in enumerate(files):
        schema, content = FORMATS[file_format](rows, columns)
        key = f"inventory/fruits/daily/data/{number}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        described.append({"key": key, "size": len(content), "MD5checksum": digest})
    manifest(s3, fileFormat=file_format, fileSchema=schema, files=described)


def manifest(s3: Any, **given: Any) -> None:
    document = {
        "sourceBucket": BUCKET,
        "destinationBucket": f"arn:aws:s3:::{BUCKET}",
        "version": "2016-11-30",
        "creationTimestamp": "1795154400000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size, ETag",
        "files": [],
        **given,
    }
    s3.put_object(Bucket=BUCKET, Key=MANIFEST, Body=json.dumps(document))


def rows_of(s3: Any, changes: Changes | None = None) -> list[Row]:
    found = []
    for batch in listed(s3, BUCKET, "Test/", changes or Changes(), URI):
        assert batch.schema == OBJECT_SCHEMA
        found += batch.to_pylist()
    return found


def keys_of(s3: Any) -> list[str]:
    return [each["key"] for each in rows_of(s3)]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_report_is_listed_in_key_order_whatever_its_own(s3: Any, file_format: str) -> None:
    names = ["b/2.jpg", "a b/1.jpg", "a/é+%20.jpg", "a-b/1.jpg", "a/#.JPG", "a/é.jpg", 'a/",.jpg', "a/1.jpg"]
    keys = [f"Test/{name}" for name in names]
    others = ["Test/", "Test/a/notes.txt", "Results/a.jpg", "Testing/a.jpg"]
    report(s3, file_format, [row(key) for key in keys[:5]], [row(key) for key in keys[5:] + others])
    changes = Changes()
    photos = rows_of(s3, changes)
    assert [each["key"] for each in photos] == sorted(keys, key=str.encode)
    assert photos[0] == {
        "key": photos[0]["key"],
        "etag": hashlib.md5(photos[0]["key"].encode(), usedforsecurity=False).hexdigest(),
        "size": 6000,
    }
    assert changes == Changes(ignored=2, left_out=Counter({".txt": 1}))


@pytest.mark.parametrize("file_format", FORMATS)
def test_of_a_versioned_bucket_only_what_is_there_is_listed(s3: Any, file_format: str) -> None:
    nothing = {"size": None, "e_tag": None}
    rows = [
        row("Test/a/kept.jpg", size=2),
        row("Test/a/kept.jpg", size=1, is_latest=False),
        row("Test/a/deleted.jpg", is_delete_marker=True, **nothing),
        row("Test/a/deleted.jpg", is_latest=False),
        row("Test/a/back.jpg", is_latest=False, is_delete_marker=True, **nothing),
        row("Test/a/back.jpg", size=3),
    ]
    report(s3, file_format, rows, columns=VERSIONS)
    assert [(each["key"], each["size"]) for each in rows_of(s3)] == [
        ("Test/a/back.jpg", 3),
        ("Test/a/kept.jpg", 2),
    ]


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_report_with_the_needed_fields_alone_will_do(s3: Any, file_format: str) -> None:
    report(s3, file_format, [row("Test/a/1.jpg")], columns=("bucket", "key", "size", "e_tag"))
    assert keys_of(s3) == ["Test/a/1.jpg"]


def test_the_bucket_and_its_report_give_the_same(s3: Any) -> None:
    for name in ("Kiwi/1.jpg", "Kiwi é/2.jpg", "Kiwi/notes.txt", "a+b/%.png"):
        s3.put_object(Bucket=BUCKET, Key=f"Test/{name}", Body=name.encode())
    objects = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    rows = [row(each["Key"], size=each["Size"], e_tag=each["ETag"].strip('"')) for each in objects]
    report(s3, "CSV", rows[::-1])
    changes, changes_of_report = Changes(), Changes()
    from_bucket = [each for batch in listed(s3, BUCKET, "Test/", changes) for each in batch.to_pylist()]
    assert rows_of(s3, changes_of_report) == from_bucket
    assert changes_of_report == changes == Changes(ignored=1, left_out=Counter({".txt": 1}))


def test_an_empty_report_lists_nothing(s3: Any) -> None:
    manifest(s3)
    assert rows_of(s3) == []


@pytest.mark.parametrize("file_format", FORMATS)
def test_what_a_report_lacks_is_named(s3: Any, file_format: str) -> None:
    report(s3, file_format, [row("Test/a/1.jpg")], columns=("bucket", "key", "last_modified_date"))
    with pytest.raises(ListingError, match=r"does not have Size and ETag: add that to the metadata"):
        rows_of(s3)


def test_a_report_that_cannot_be_used_is_one_sentence(s3: Any) -> None:
    with pytest.raises(ListingError, match="'nonsense' is no manifest of S3 Inventory"):
        next(listed(s3, BUCKET, "Test/", Changes(), "nonsense"))
    with pytest.raises(ListingError, match=r"manifest.json' cannot be read \(NoSuchKey\)"):
        rows_of(s3)
    s3.put_object(Bucket=BUCKET, Key=MANIFEST, Body=b"[]")
    with pytest.raises(ListingError, match="no manifest of S3 Inventory"):
        rows_of(s3)
    manifest(s3, fileFormat="ORC")
    with pytest.raises(ListingError, match="written as ORC: configure it as CSV or Apache Parquet"):
        rows_of(s3)
    manifest(s3, sourceBucket="another")
    with pytest.raises(ListingError, match="of bucket 'another', and the run's bucket is 'fruits-test'"):
        rows_of(s3)


def test_a_report_that_takes_too_long_asks_for_more_time(s3: Any) -> None:
    report(s3, "CSV", [row("Test/a/1.jpg")])
    with pytest.raises(ListingError, match=r"1 objects that were listed in 0 minutes: raise FRUITS_PLAN_MIN"):
        list(listed(s3, BUCKET, "Test/", Changes(), URI, minutes=0))


def test_a_data_file_that_is_gone_or_another_is_refused(s3: Any) -> None:
    report(s3, "CSV", [row("Test/a/1.jpg")])
    s3.put_object(Bucket=BUCKET, Key="inventory/fruits/daily/data/0", Body=b"another")
    with pytest.raises(ListingError, match="its MD5 differs"):
        rows_of(s3)
    s3.delete_object(Bucket=BUCKET, Key="inventory/fruits/daily/data/0")
    with pytest.raises(ListingError, match=r"data/0 of the inventory .* cannot be read"):
        rows_of(s3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    names=st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=4), max_size=60),
    cuts=st.lists(st.integers(1, 7), min_size=60, max_size=60),
)
def test_batches_of_any_keys_are_sorted_by_their_bytes(
    names: list[str], cuts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_sort, "RUN_ROWS", 7)
    monkeypatch.setattr(external_sort, "_STEP_ROWS", 2)
    monkeypatch.setattr(external_sort, "MOST_RUNS", 3)
    schema, batches, at = pa.schema([("key", pa.string()), ("size", pa.int64())]), [], 0
    while at < len(names):
        some = names[at : at + cuts[at]]
        batches.append(pa.RecordBatch.from_pydict({"key": some, "size": range(at, at + len(some))}, schema))
        at += len(some)
    found = [each for batch in external_sort.by_key(batches, schema, tmp_path) for each in batch.to_pylist()]
    assert [each["key"] for each in found] == sorted(names, key=str.encode)
    assert {each["size"]: each["key"] for each in found} == dict(enumerate(names))


def test_few_files_are_open_however_many_rows_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external_sort, "RUN_ROWS", 1)
    schema = pa.schema([("key", pa.string())])
    count = 20 * external_sort.MOST_RUNS
    batches = (pa.RecordBatch.from_pydict({"key": [f"{n * 7 % count:05}"]}, schema) for n in range(count))
    descriptors = Path("/proc/self/fd")
    before, most, found = len(list(descriptors.iterdir())), 0, []
    for batch in external_sort.by_key(batches, schema, tmp_path):
        found += batch.column("key").to_pylist()
        most = max(most, len(list(descriptors.iterdir())) - before)
    assert found == [f"{n:05}" for n in range(count)]
    assert most <= external_sort.MOST_RUNS
    assert list(tmp_path.iterdir()) == []
