"""The listing holds every photo once, in the order of its key's bytes, however the keys are laid out."""

import hashlib
import itertools
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fruit_pipeline.photos import bucket_listing
from fruit_pipeline.photos.bucket_listing import OBJECT_SCHEMA, ListingError, ranges
from fruit_pipeline.photos.listing import listed
from fruit_pipeline.photos.manifest_merge import Changes
from tests.fruit_pipeline.conftest import BUCKET

PAGE = 3
"""Keys on a page of S3, instead of a thousand."""
_prefixes = (f"{number}/" for number in itertools.count())


@pytest.fixture
def small_pages(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Few keys are many pages, and a range is cut wherever a thread is idle."""
    monkeypatch.setattr(bucket_listing, "_PAGES_AHEAD", 1)
    monkeypatch.setattr(bucket_listing, "_FREE_CUTS", 1_000)
    s3.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": PAGE}
    )
    return s3


def put(s3: Any, keys: Iterable[str], body: bytes = b"12345") -> None:
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)


def rows(s3: Any, prefix: str = "Test/", changes: Changes | None = None) -> list[dict[str, Any]]:
    found = []
    for batch in listed(s3, BUCKET, prefix, changes or Changes()):
        assert batch.schema == OBJECT_SCHEMA
        found += batch.to_pylist()
    return found


def keys(s3: Any, prefix: str = "Test/") -> list[str]:
    return [row["key"] for row in rows(s3, prefix)]


def by_bytes(names: Iterable[str]) -> list[str]:
    return sorted(names, key=str.encode)


LAYOUTS: dict[str, list[str]] = {
    "labels that begin like each other": [
        f"Test/{label}/{n}.jpg" for label in ("a", "a b", "a-b", "a/b", "ab", "a.jpg") for n in range(5)
    ],
    "photos beside the folders": [
        *(f"Test/{name}.jpg" for name in ("0", "a", "a!", "a0", "b", "z")),
        *(f"Test/{label}/{n}.jpg" for label in "abc" for n in range(4)),
    ],
    "photos without a folder": [f"Test/{n}.jpg" for n in range(20)],
    "one folder": [f"Test/Kiwi/{n}.jpg" for n in range(20)],
    "folders in one folder": [f"Test/2026/11/{day}/{n}.jpg" for day in range(10, 20) for n in range(4)],
    "few folders of many": [
        f"Test/{half}/{label}/{n}.jpg" for half in ("Test", "Training") for label in range(12) for n in (1, 2)
    ],
    "photos at every depth": ["Test/" + "a/" * depth + f"{n}.jpg" for depth in range(9) for n in range(4)],
    "many folders of one": [f"Test/{n:03}/photo.jpg" for n in range(120)],
    "nothing": [],
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_is_listed_in_order(small_pages: Any, layout: list[str]) -> None:
    put(small_pages, [*layout, "Tes/t.jpg", "Test.jpg", "Test0/a.jpg"])
    assert keys(small_pages) == by_bytes(layout)


def legal_keys() -> st.SearchStrategy[str]:
    """Without the segments ``.`` and ``..``, which an HTTP client takes out of a path before it asks."""
    written = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
    folders = st.one_of(st.sampled_from(["a", "a b", "a-b", "ab", "a+b%20", "é", "\n", ""]), written)
    files = written.map(lambda name: name + ".jpg")
    keys = st.builds(lambda path, file: "/".join([*path, file]), st.lists(folders, max_size=3), files)
    return keys.filter(lambda key: not {".", ".."} & set(key.split("/")))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.sets(legal_keys(), max_size=25))
def test_any_legal_keys_are_listed_once_and_in_order(small_pages: Any, names: set[str]) -> None:
    prefix = next(_prefixes)
    there = {prefix + name for name in names}
    put(small_pages, there)
    assert keys(small_pages, prefix) == by_bytes(there)


def names_of_one_kind() -> st.SearchStrategy[set[str]]:
    """As photos of one folder are named: counted, drawn at random, by label; or anything at all."""
    anything = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/"), max_size=8)
    kinds = [
        st.integers(0, 10**6).map("img_{:06}.jpg".format),
        st.integers(0, 500).map("{}.jpg".format),
        st.uuids().map("{}.jpg".format),
        st.builds("{} {:03}.jpg".format, st.sampled_from(["Kiwi", "Pear", "Épi"]), st.integers(0, 999)),
        anything.map("{}.jpg".format),
    ]
    return st.one_of(st.sets(kind, max_size=25) for kind in kinds)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=names_of_one_kind())
def test_any_names_in_one_folder_are_listed_once_and_in_order(small_pages: Any, names: set[str]) -> None:
    prefix = next(_prefixes)
    there = {f"{prefix}Kiwi/{name}" for name in names}
    put(small_pages, there)
    assert keys(small_pages, prefix) == by_bytes(there)


COUNT = 300
ONE_FOLDER: dict[str, Iterable[str]] = {
    "counted": (f"img_{n:06}" for n in range(COUNT)),
    "counted without zeros": (f"img_{n}" for n in range(COUNT)),
    "hashes": (hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(COUNT)),
    "times": (f"IMG_202611{1 + n // 24:02}_{n % 24:02}{n % 60:02}00" for n in range(COUNT)),
    "labels": (f"{('Apple', 'Kiwi', 'Pear', 'Plum', 'Zucchini')[n % 5]} {n:04}" for n in range(COUNT)),
}


@pytest.mark.parametrize("names", ONE_FOLDER.values(), ids=ONE_FOLDER)
def test_one_folder_is_listed_from_several_places(
    s3: Any, names: Iterable[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_listing, "_PAGES_AHEAD", 10)
    s3.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": PAGE}
    )
    there = [f"Test/Kiwi/{name}.jpg" for name in names]
    put(s3, there)
    made = requests_of(s3)
    assert keys(s3) == by_bytes(there)
    begun = [request for request in made if "start-after" in request["query_string"]]
    pages = COUNT // PAGE
    assert len(begun) >= 3
    # Two requests ask for folders. Each cut costs one at most.
    assert len(made) <= 2 + pages + 8 + pages // 80


def test_a_small_folder_costs_few_requests_more(s3: Any) -> None:
    s3.meta.events.register(
        "provide-client-params.s3.ListObjectsV2", lambda params, **_: {**params, "MaxKeys": PAGE}
    )
    put(s3, [f"Test/Kiwi/{n:03}.jpg" for n in range(4 * PAGE)])
    made = requests_of(s3)
    assert len(keys(s3)) == 4 * PAGE
    assert len(made) <= 2 + 4 + 2


def test_a_row_says_what_s3_says(s3: Any) -> None:
    put(s3, ["Test/Kiwi/1.jpg"], b"a photo")
    head = s3.head_object(Bucket=BUCKET, Key="Test/Kiwi/1.jpg")
    (row,) = rows(s3)
    assert row["etag"] == head["ETag"].strip('"')
    assert row["size"] == 7


def test_photos_are_known_by_their_names_and_the_rest_is_counted(s3: Any) -> None:
    put(s3, ["Test/", "Test/Kiwi/", "Test/Kiwi/notes.txt", "Test/Kiwi/.DS_Store"], b"")
    put(s3, ["Test/Kiwi/empty.jpg"], b"")
    put(s3, ["Test/Kiwi/a.jpg", "Test/Kiwi/A.JPG"])
    changes = Changes()
    sizes = {row["key"]: row["size"] for row in rows(s3, changes=changes)}
    assert sizes == {"Test/Kiwi/A.JPG": 5, "Test/Kiwi/a.jpg": 5, "Test/Kiwi/empty.jpg": 0}
    assert changes == Changes(ignored=4, left_out=Counter({".txt": 1, ".ds_store": 1}))


def test_names_that_differ_in_case_or_unicode_form_are_different_photos(s3: Any) -> None:
    names = ["Test/é.jpg", "Test/e\u0301.jpg", "Test/É.jpg", "Test/kiwi/1.jpg", "Test/Kiwi/1.jpg"]
    put(s3, names)
    assert keys(s3) == by_bytes(names)


def test_an_upload_in_progress_is_not_listed(s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="Test/Kiwi/1.jpg")
    s3.upload_part(
        Bucket=BUCKET, Key="Test/Kiwi/1.jpg", UploadId=upload["UploadId"], PartNumber=1, Body=b"half"
    )
    assert keys(s3) == []


def test_a_deleted_photo_of_a_versioned_bucket_is_not_listed(s3: Any) -> None:
    put(s3, ["Test/Kiwi/1.jpg", "Test/Pear/1.jpg"])
    s3.delete_object(Bucket=BUCKET, Key="Test/Kiwi/1.jpg")
    assert keys(s3) == ["Test/Pear/1.jpg"]


def requests_of(s3: Any) -> list[Any]:
    """Every LIST that the client sends from now on."""
    made: list[Any] = []
    s3.meta.events.register("before-call.s3.ListObjectsV2", lambda params, **_: made.append(params))
    return made


def test_a_folder_of_one_photo_does_not_cost_a_request_each() -> None:
    folders = (f"Test/{number:06}/" for number in range(100_000))
    assert sum(1 for _ in ranges(folders)) < 450


def test_a_hundred_labels_are_a_hundred_units_of_work() -> None:
    assert 64 <= sum(1 for _ in ranges(f"Test/{number:03}/" for number in range(100))) <= 100


@given(st.sets(st.text(min_size=1), max_size=300))
def test_ranges_adjoin_and_cover_every_key(names: set[str]) -> None:
    cuts = by_bytes(names)
    found = list(ranges(iter(cuts)))
    assert found[0].after == ""
    assert found[-1].until is None
    assert [keys.until for keys in found[:-1]] == [keys.after for keys in found[1:]]
    assert {keys.until for keys in found[:-1]} <= names


def test_a_reader_that_stops_leaves_no_file_and_no_more_requests(
    small_pages: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("fruit_pipeline.photos.listing._BATCH_ROWS", 1)
    put(small_pages, [f"Test/{label}/{n}.jpg" for label in "abcdef" for n in range(8)])
    batches = listed(small_pages, BUCKET, "Test/", Changes())
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    made = requests_of(small_pages)
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("list")]
    assert made == []


def test_a_refusal_of_s3_is_raised_as_it_is(s3: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        next(iter(listed(s3, "no-such-bucket-anywhere", "Test/", Changes())))


def test_the_clients_other_calls_see_what_they_always_saw(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fruit_pipeline.photos.listing._BATCH_ROWS", 1)
    put(s3, ["Test/a/1.jpg", "Test/b/1.jpg"])
    listing = listed(s3, BUCKET, "Test/", Changes())
    next(listing)
    amidst = s3.list_objects_v2(Bucket=BUCKET)
    assert [entry["Key"] for entry in amidst["Contents"]] == ["Test/a/1.jpg", "Test/b/1.jpg"]
    assert len(list(listing)) == 1
    after = s3.list_objects_v2(Bucket=BUCKET)
    assert after["Contents"] == amidst["Contents"]


@pytest.fixture
def unsorted_store(s3: Any) -> Iterator[Any]:
    """A client whose store answers with its keys in another order."""

    def turn_round(response_dict: dict[str, Any], **_: object) -> None:
        first, second = b"<Key>Test/a/1.jpg</Key>", b"<Key>Test/a/2.jpg</Key>"
        body = response_dict["body"].replace(first, b"<Key>?</Key>").replace(second, first)
        response_dict["body"] = body.replace(b"<Key>?</Key>", second)

    s3.meta.events.register_first("before-parse.s3.ListObjectsV2", turn_round)
    return s3


def test_a_store_that_does_not_sort_is_refused(unsorted_store: Any) -> None:
    put(unsorted_store, ["Test/a/1.jpg", "Test/a/2.jpg"])
    with pytest.raises(ListingError, match="bytes' order"):
        keys(unsorted_store)


def test_a_client_with_one_connection_will_do(s3: Any) -> None:
    from botocore.config import Config

    one = boto3.client("s3", region_name="eu-west-1", config=Config(max_pool_connections=1))
    put(s3, [f"Test/{label}/1.jpg" for label in range(200)])
    assert len(keys(one)) == 200


def test_a_listing_that_takes_too_long_says_how_far_it_came_and_the_way_out(s3: Any) -> None:
    put(s3, [f"Test/{label}/1.jpg" for label in "abc"])
    with pytest.raises(
        ListingError,
        match=r"^s3://fruits-test/Test/ has more than the 1 objects that were listed in 0 minutes: give "
        r"inventory the manifest\.json of an S3 Inventory report, or raise FRUITS_PLAN_MINUTES\.$",
    ):
        list(listed(s3, BUCKET, "Test/", Changes(), minutes=0))
