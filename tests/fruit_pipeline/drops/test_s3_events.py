"""What S3 tells is understood, key by key; what anything else tells is named, and not repeated."""

import json
from typing import Any

import pytest

from fruit_pipeline.drops.s3_events import Change, NotAnS3EventError, changes_in


def record(name: str, key: str) -> dict[str, Any]:
    return {
        "eventVersion": "2.3",
        "eventSource": "aws:s3",
        "eventName": name,
        "s3": {"bucket": {"name": "fruits"}, "object": {"key": key, "size": 3}},
    }


def body(*records: Any) -> str:
    return json.dumps({"Records": records})


@pytest.mark.parametrize("name", ["Put", "Post", "Copy", "CompleteMultipartUpload"])
def test_every_way_of_writing_is_a_creation(name: str) -> None:
    assert changes_in(body(record(f"ObjectCreated:{name}", "Test/a.jpg"))) == [
        Change("fruits", "Test/a.jpg", created=True)
    ]


@pytest.mark.parametrize(
    "name",
    [
        "ObjectRemoved:Delete",
        "ObjectRemoved:DeleteMarkerCreated",
        "LifecycleExpiration:Delete",
        "LifecycleExpiration:DeleteMarkerCreated",
    ],
)
def test_every_way_of_removing_is_a_removal(name: str) -> None:
    assert changes_in(body(record(name, "Test/a.jpg"))) == [Change("fruits", "Test/a.jpg", created=False)]


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("Test/Red+apple/a%2Bb+50%25.jpg", "Test/Red apple/a+b 50%.jpg"),
        ("Test/%C3%89pi/%23.jpg", "Test/Épi/#.jpg"),
        ("Test/two%0Alines.jpg", "Test/two\nlines.jpg"),
        ("Test/%FF.jpg", "Test/\ufffd.jpg"),
    ],
)
def test_keys_are_decoded(encoded: str, key: str) -> None:
    assert changes_in(body(record("ObjectCreated:Put", encoded)))[0].key == key


def test_several_records_are_several_changes_in_their_order() -> None:
    found = changes_in(body(record("ObjectCreated:Put", "1.jpg"), record("ObjectRemoved:Delete", "2.jpg")))
    assert [change.key for change in found] == ["1.jpg", "2.jpg"]


def test_s3s_own_test_and_events_that_change_no_bytes_are_no_change() -> None:
    assert changes_in('{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "fruits"}') == []
    assert changes_in(body(record("ObjectTagging:Put", "1.jpg"), record("ObjectRestore:Post", "1.jpg"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        '"secret"',
        "null",
        "[" * 200_000,
        "{}",
        '{"Records": "secret"}',
        body("secret"),
        body({"eventSource": "aws:sns", "secret": 1}),
        body(record("ObjectCreated:Put", "secret") | {"s3": None}),
        body({**record("ObjectCreated:Put", "1.jpg"), "eventName": 7}),
        body(record("ObjectCreated:Put", "1.jpg"), {"secret": 1}),
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(NotAnS3EventError) as refused:
        changes_in(text)
    assert "secret" not in str(refused.value)
