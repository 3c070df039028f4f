"""The pointer moves from the result that a run was planned on to the run's own, and in no other case.

All against S3's conditional writes, which moto answers as S3 does.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_contract.layout import LATEST_KEY, RunLayout
from fruit_pipeline import publication
from fruit_pipeline.publication import (
    REMEMBERED,
    Pointer,
    PublicationError,
    move_pointer,
    pointer_to,
    read_pointer,
    unused_run_key,
    write_json,
)
from tests.unit.conftest import BUCKET, FEATURES

REDUCED: Any = {"components": 2, "solver": "blocks", "explained_variance": 0.95}
MODEL: Any = {"name": "m", "fingerprint": "f" * 64}


def pointer(run_key: str) -> Pointer:
    return pointer_to(RunLayout(BUCKET, run_key), run_key, FEATURES, MODEL, REDUCED)


def publish(s3: Any, run_key: str, planned_on: str | None) -> dict[str, Any]:
    return move_pointer(s3, BUCKET, pointer(run_key), planned_on)


def etag(s3: Any) -> str | None:
    return read_pointer(s3, BUCKET).etag


def current(s3: Any) -> str:
    found = read_pointer(s3, BUCKET).pointer
    assert found is not None
    return str(found["run_key"])


def test_the_first_result_is_published_where_there_was_none(s3: Any) -> None:
    assert read_pointer(s3, BUCKET) == publication.Current(None, None)
    moved = publish(s3, "a", None)
    assert read_pointer(s3, BUCKET).pointer == moved
    assert moved["pca_output"] == f"s3://{BUCKET}/Results/pca_output/run=a/"
    assert moved["previous"] == []


def test_each_result_remembers_those_before_it_the_newest_first(s3: Any) -> None:
    for number in range(REMEMBERED + 3):
        publish(s3, str(number), etag(s3))
    newest = [str(number) for number in reversed(range(3, REMEMBERED + 3))]
    assert read_pointer(s3, BUCKET).published == newest


def test_an_older_run_does_not_replace_a_newer_result(s3: Any) -> None:
    publish(s3, "a", None)
    planned_on = etag(s3)
    publish(s3, "newer", planned_on)
    with pytest.raises(PublicationError, match=r"'older' is not published: .* is now that of run 'newer'"):
        publish(s3, "older", planned_on)
    assert current(s3) == "newer"


def test_of_two_first_runs_one_is_published(s3: Any) -> None:
    publish(s3, "a", None)
    with pytest.raises(PublicationError, match="'b' is not published"):
        publish(s3, "b", None)
    assert current(s3) == "a"


def test_a_pointer_that_is_gone_is_not_replaced(s3: Any) -> None:
    publish(s3, "a", None)
    planned_on = etag(s3)
    s3.delete_object(Bucket=BUCKET, Key=LATEST_KEY)
    with pytest.raises(PublicationError, match="and is now gone"):
        publish(s3, "b", planned_on)


def test_publishing_again_is_a_success_and_changes_nothing(s3: Any) -> None:
    publish(s3, "a", None)
    planned_on = etag(s3)
    first = publish(s3, "b", planned_on)
    before = etag(s3)
    assert publish(s3, "b", planned_on) == first
    assert etag(s3) == before


def test_a_write_whose_answer_was_lost_is_a_success(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attempt has moved the pointer; the repetition is told that the condition does not hold."""
    publish(s3, "a", None)
    planned_on, put = etag(s3), s3.put_object

    def twice(**arguments: Any) -> Any:
        put(**arguments)
        return put(**arguments)

    monkeypatch.setattr(s3, "put_object", twice)
    assert publish(s3, "b", planned_on)["run_key"] == "b"
    assert current(s3) == "b"


def test_a_race_between_reading_and_writing_is_lost_to_the_other(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(s3, "a", None)
    planned_on, put = etag(s3), s3.put_object

    def overtaken(**arguments: Any) -> Any:
        monkeypatch.setattr(s3, "put_object", put)
        publish(s3, "other", planned_on)
        return put(**arguments)

    monkeypatch.setattr(s3, "put_object", overtaken)
    with pytest.raises(PublicationError, match="is now that of run 'other'"):
        publish(s3, "b", planned_on)
    assert current(s3) == "other"


def test_of_many_runs_at_once_exactly_one_is_published(s3: Any) -> None:
    publish(s3, "a", None)
    planned_on = etag(s3)

    def attempt(name: str) -> bool:
        try:
            publish(boto3.client("s3"), name, planned_on)
        except PublicationError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, [f"b{number}" for number in range(16)])) == 1


def test_a_pointer_of_an_older_version_is_replaced(s3: Any) -> None:
    write_json(s3, BUCKET, LATEST_KEY, {"run_key": "old", "run_id": "old", "published_at": "2026-01-01"})
    publish(s3, "a", etag(s3))
    assert read_pointer(s3, BUCKET).published == ["a", "old"]


def test_the_pointer_has_the_same_size_whatever_it_says(s3: Any) -> None:
    """A reader that asks for the size first, and then for so many bytes, gets one whole pointer."""
    longest = "x" * 129
    sizes = set()
    for number in range(REMEMBERED + 1):
        publish(s3, f"{longest}{number}", etag(s3))
        sizes.add(s3.head_object(Bucket=BUCKET, Key=LATEST_KEY)["ContentLength"])
    assert sizes == {32768}


def test_the_pointer_is_json_for_any_reader(s3: Any) -> None:
    publish(s3, "a", None)
    answer = s3.get_object(Bucket=BUCKET, Key=LATEST_KEY)
    assert answer["ContentType"] == "application/json"
    assert set(json.loads(answer["Body"].read())) == Pointer.__required_keys__


@given(st.sets(st.sampled_from(["a", "a+2", "a+3", "b", "b+2"])))
def test_a_run_never_writes_where_a_published_one_has(used: set[str]) -> None:
    assert unused_run_key("a", used) not in used
    if "a" not in used:
        assert unused_run_key("a", used) == "a"
