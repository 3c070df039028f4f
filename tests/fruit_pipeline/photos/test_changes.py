"""A run's lists name every photo once, whatever its key and whatever came before, and no other file.

Merging is compared with dicts over random histories of uploads, changes, deletions and runs.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_contract.layout import FEATURES_PREFIX, LATEST_KEY, RunLayout
from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_pipeline.photos.changes import count, write_lists
from fruit_pipeline.photos.known_features import KnownFeatures
from fruit_pipeline.photos.manifest_merge import Changes, OrderError, Photo, Row, merged
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA, sources_of
from fruit_pipeline.results.publication import write_json
from tests.fruit_pipeline.conftest import BUCKET

ODD_NAMES = ["a b.jpg", "a+b.jpg", "50%.jpg", "%20.jpg", "a#b.jpg", "épi.jpg", "e\u0301pi.jpg", "a\nb.jpg"]
ODD_NAMES += ["A.JPEG", "a.jpeg", "\U0001f34e.png", "\uffee.png"]


def rows(s3: Any, key: str) -> list[dict[str, Any]]:
    return list(pq.read_table(io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())).to_pylist())


def put_manifest(s3: Any, layout: RunLayout, manifest: Iterable[Row]) -> None:
    """The manifest of a published run, and a file in each of the sources that it names."""
    table = pa.Table.from_pylist([row._asdict() for row in manifest], schema=MANIFEST_SCHEMA)
    body = io.BytesIO()
    pq.write_table(table, body)
    s3.put_object(Bucket=BUCKET, Key=f"{layout.manifest}rows.parquet", Body=body.getvalue())
    for source in set(table.column("source").to_pylist()) - {""}:
        s3.put_object(Bucket=BUCKET, Key=f"{FEATURES_PREFIX}{source}/part-0.parquet", Body=b"rows")


def make_current(s3: Any, layout: RunLayout) -> None:
    """The result of this run is the current one."""
    pointer = {
        "run_key": layout.run_key,
        "manifest": layout.uri(layout.manifest),
        "features": {"input_prefix": "Test/"},
    }
    write_json(s3, BUCKET, LATEST_KEY, pointer)


def put_photo(s3: Any, key: str, body: bytes = b"12345") -> Photo:
    etag = s3.put_object(Bucket=BUCKET, Key=key, Body=body)["ETag"].strip('"')
    return Photo(key, etag, len(body))


# --- merging -------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "B", "c/d", "c d", "é", "e\u0301", "\uffee", "\U0001f34e", "a\nb", "~"])
PHOTOS = st.dictionaries(KEYS, st.tuples(st.sampled_from("123"), st.integers(0, 2)))


def as_listed(photos: dict[str, tuple[str, int]]) -> list[Photo]:
    """As S3 lists: by the UTF-8 bytes of the keys."""
    return [Photo(key, *photos[key]) for key in sorted(photos, key=str.encode)]


@dataclass(frozen=True)
class Drop:
    """A run: what lies in the bucket, and what becomes of the work."""

    photos: dict[str, tuple[str, int]]
    rejects: set[str]
    """Keys whose photo is rejected, should it be read."""
    passing: bool
    """Whether for a reason that may pass."""
    fails: bool
    """Before it is published."""
    compacts: bool


DROPS = st.builds(Drop, PHOTOS, st.sets(KEYS), st.booleans(), st.booleans(), st.booleans())


@given(st.lists(DROPS, max_size=12))
def test_after_any_history_the_rows_that_count_are_those_of_the_photos_there_are(history: list[Drop]) -> None:
    manifest: list[Row] = []
    files: dict[tuple[str, str], Photo] = {}
    """What lies in the feature files, by source and key."""
    seen: dict[str, Photo] = {}
    """The photos that the current result knows, and need not be read again."""
    bad: set[str] = set()
    """Those of the current result that have no row."""
    for number, drop in enumerate(history):
        source, changes, listed = f"run={number}", Changes(), as_listed(drop.photos)

        draft = list(merged(listed, manifest, source, changes))

        dead = {Photo(*row[:3]) for row in manifest if row.state == DEAD}
        back = {photo.key for photo in listed if seen.get(photo.key) != photo and photo in dead}
        work = {photo.key for photo in listed if seen.get(photo.key) != photo} - back
        assert {row.key for row in draft if row.source == source} == work
        assert changes == Changes(
            found=len(listed),
            new=len(work - seen.keys()),
            changed=len(work & seen.keys()),
            deleted=len(seen.keys() - drop.photos.keys()),
            reused=len(listed) - len(work),
            recovered=len(back),
            work_bytes=sum(photo.size for photo in listed if photo.key in work),
        )
        assert [row.key for row in draft] == sorted((row.key for row in draft), key=str.encode)
        rejected = work & drop.rejects
        files |= {(source, photo.key): photo for photo in listed if photo.key in work - rejected}
        if drop.fails:
            continue
        manifest = published(draft, source, rejected, drop)
        if drop.compacts:
            live = [row for row in manifest if row.state == LIVE]
            files |= {(row.source, row.key): Photo(*row[:3]) for row in live}
        bad = ((bad & drop.photos.keys()) - work - back) | rejected
        seen = {photo.key: photo for photo in listed if not (drop.passing and photo.key in rejected)}
        sources = {row.source for row in manifest if row.state == LIVE}
        lost = {(row.source, row.key) for row in manifest if row.state == DEAD}
        rows = [photo for place, photo in files.items() if place[0] in sources and place not in lost]
        assert sorted(rows) == sorted(photo for photo in listed if photo.key not in bad)


def published(draft: list[Row], source: str, rejected: set[str], drop: Drop) -> list[Row]:
    """The manifest that the reduce step makes of a draft."""
    reason = "gone: by then" if drop.passing else "corrupt: cut off"
    rows = [
        row._replace(state=REJECTED, reason=reason, source="")
        if row.source == source and row.key in rejected
        else row
        for row in draft
    ]
    if not drop.compacts:
        return rows
    compacted = source.replace("run", "compacted")
    return [row._replace(source=compacted) if row.state == LIVE else row for row in rows if row.state != DEAD]


def test_a_photo_that_was_gone_during_the_run_is_tried_again_and_a_corrupt_one_is_not() -> None:
    photos = [Photo("a", "1", 1), Photo("b", "1", 1)]
    manifest = [
        Row("a", "1", 1, REJECTED, "gone: the object was there when the work was planned", ""),
        Row("b", "1", 1, REJECTED, "corrupt: cut off", ""),
    ]
    changes = Changes()
    draft = list(merged(photos, manifest, "run=2", changes))
    assert draft == [Row("a", "1", 1, LIVE, None, "run=2"), manifest[1]]
    assert (changes.new, changes.reused) == (1, 1)


def test_rows_of_a_source_that_is_lost_are_computed_anew() -> None:
    manifest = [
        Row("a", "0", 1, DEAD, None, "run=1"),
        Row("a", "1", 1, LIVE, None, "run=2"),
        Row("b", "1", 1, LIVE, None, "run=1"),
    ]
    photos = [Photo("a", "1", 1), Photo("b", "1", 1)]
    draft = list(merged(photos, manifest, "run=3", Changes(), {"run=1"}))
    assert draft == [manifest[1], Row("b", "1", 1, LIVE, None, "run=3")]


def test_a_photo_that_is_back_as_it_was_has_its_row_again() -> None:
    manifest = [
        Row("a", "1", 1, DEAD, None, "run=1"),
        Row("a", "2", 1, LIVE, None, "run=2"),
        Row("b", "1", 1, LIVE, None, "run=1"),
    ]
    changes = Changes()
    draft = list(merged([Photo("a", "1", 1), Photo("b", "1", 1)], manifest, "run=3", changes))
    assert draft == [manifest[1]._replace(state=DEAD), manifest[0]._replace(state=LIVE), manifest[2]]
    assert (changes.reused, changes.recovered, changes.any) == (2, 1, 1)


@pytest.mark.parametrize("keys", ["ba", "aa"])
def test_a_listing_out_of_order_is_refused(keys: str) -> None:
    photos = [Photo(key, "1", 1) for key in keys]
    with pytest.raises(OrderError, match=r"The listing has 'a' after '[ab]'"):
        list(merged(photos, [], "run=1", Changes()))


# --- on S3 ---------------------------------------------------------------------------------------------


def test_every_photo_is_listed_with_its_key_as_it_is(s3: Any, layout: RunLayout) -> None:
    for name in ODD_NAMES:
        put_photo(s3, f"Test/Pink Lady/{name}")
    put_photo(s3, "Test/Pink Lady/empty.jpg", b"")
    for key in ("Test/", "Test/Pink Lady/", "Test/notes.txt", "Other/1.jpg"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")

    changes = write_lists(s3, layout, "Test/")

    assert (changes.found, changes.new, changes.work_bytes, changes.ignored) == (13, 13, 60, 3)
    work = rows(s3, layout.work_list)
    assert {row["key"] for row in work} == {f"Test/Pink Lady/{name}" for name in [*ODD_NAMES, "empty.jpg"]}
    assert all(row["uri"] == f"s3://{BUCKET}/{row['key']}" for row in work)
    assert all(len(row["etag"]) == 32 for row in work)
    draft = rows(s3, layout.draft)
    assert [row["key"] for row in draft] == sorted((row["key"] for row in work), key=str.encode)
    assert {(row["state"], row["source"], row["reason"]) for row in draft} == {(LIVE, "run=run-1", None)}


def test_a_renamed_folder_is_new_photos_and_deleted_ones(s3: Any, layout: RunLayout) -> None:
    old = [put_photo(s3, f"Test/Aple/{number}.jpg") for number in range(3)]
    write_lists(s3, layout, "Test/")
    put_manifest(s3, layout, [Row(*photo, LIVE, None, layout.source) for photo in old])
    for photo in old:
        s3.delete_object(Bucket=BUCKET, Key=photo.key)
        put_photo(s3, photo.key.replace("Aple", "Apple"))

    later = RunLayout(BUCKET, "run-2")
    changes = write_lists(s3, later, "Test/", KnownFeatures(layout.manifest))

    assert (changes.found, changes.new, changes.changed, changes.deleted, changes.reused) == (3, 3, 0, 3, 0)
    assert {row["key"].split("/")[1] for row in rows(s3, later.work_list)} == {"Apple"}
    assert {(row["key"].split("/")[1], row["state"]) for row in rows(s3, later.draft)} == {
        ("Aple", DEAD),
        ("Apple", LIVE),
    }


def test_the_same_photo_written_again_is_no_change_whenever_that_was(s3: Any, layout: RunLayout) -> None:
    """Clocks are not asked: a photo is known by key, ETag and size."""
    photo = put_photo(s3, "Test/a/1.jpg")
    put_manifest(s3, layout, [Row(*photo, LIVE, None, layout.source)])
    make_current(s3, layout)
    put_photo(s3, "Test/a/1.jpg")
    changes = count(s3, BUCKET, "Test/")
    assert (changes.any, changes.reused) == (0, 1)
    put_photo(s3, "Test/a/1.jpg", b"other")
    assert count(s3, BUCKET, "Test/").changed == 1
    assert count(s3, BUCKET, "Test/a/").new == 1, "the result is of another prefix"


def test_before_the_first_result_every_photo_waits(s3: Any) -> None:
    put_photo(s3, "Test/a/1.jpg")
    assert count(s3, BUCKET, "Test/").new == 1


def test_where_all_is_known_there_is_no_work_list(s3: Any, layout: RunLayout) -> None:
    photo = put_photo(s3, "Test/a/1.jpg")
    put_manifest(s3, layout, [Row(*photo, LIVE, None, layout.source)])
    later = RunLayout(BUCKET, "run-2")
    changes = write_lists(s3, later, "Test/", KnownFeatures(layout.manifest))
    assert changes.any == 0
    with pytest.raises(s3.exceptions.NoSuchKey):
        rows(s3, later.work_list)


def test_features_that_are_gone_from_the_bucket_are_computed_anew(s3: Any, layout: RunLayout) -> None:
    photo = put_photo(s3, "Test/a/1.jpg")
    put_manifest(s3, layout, [Row(*photo, LIVE, None, layout.source)])
    known = KnownFeatures(layout.manifest, lost=frozenset([layout.source]))
    changes = write_lists(s3, RunLayout(BUCKET, "run-2"), "Test/", known)
    assert (changes.new, changes.reused) == (1, 0)


def test_the_sources_of_a_manifest_are_those_of_its_live_and_dead_rows(s3: Any, layout: RunLayout) -> None:
    manifest = [
        Row("a", "1", 1, LIVE, None, "run=1"),
        Row("b", "1", 1, DEAD, None, "run=2"),
        Row("c", "1", 1, REJECTED, "empty", ""),
    ]
    put_manifest(s3, layout, manifest)
    assert sources_of(s3, BUCKET, layout.manifest) == {"run=1", "run=2"}


def test_more_than_one_page_of_keys_is_listed(s3: Any, layout: RunLayout) -> None:
    for number in range(1100):
        s3.put_object(Bucket=BUCKET, Key=f"Test/a/{number}.jpg", Body=b"")
    assert write_lists(s3, layout, "Test/").found == 1100


def test_without_photos_nothing_is_written(s3: Any, layout: RunLayout) -> None:
    assert write_lists(s3, layout, "Test/").found == 0
    for key in (layout.work_list, layout.draft):
        with pytest.raises(s3.exceptions.NoSuchKey):
            rows(s3, key)
