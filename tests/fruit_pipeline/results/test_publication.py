"""The pointer moves from the result that a run was planned on to the run's own, and in no other case.

All against S3's conditional writes, which moto answers as S3 does.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest

from fruit_contract.layout import FORMER_LATEST_KEY, LATEST_KEY, RunLayout
from fruit_pipeline.results import publication
from fruit_pipeline.results.publication import (
    Pointer,
    PublicationError,
    copy_to_former_address,
    move_pointer,
    pointer_to,
    read_pointer,
    write_json,
)
from fruit_pipeline.settings.deployment import MOST_KEPT_RUNS
from tests.fruit_pipeline.conftest import BUCKET, FEATURES

REDUCED: Any = {
    "rows": 3,
    "components": 2,
    "share_asked": 0.9,
    "solver": "blocks",
    "scaling": "standard",
    "explained_variance": 0.95,
}
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
    asked = {name: moved[name] for name in ("components", "share_asked", "solver", "scaling")}
    assert asked == {name: REDUCED[name] for name in asked}
    assert moved["previous"] == []


def test_the_pointer_names_the_classifier_and_the_run_that_has_trained_it() -> None:
    layout = RunLayout(BUCKET, "b")
    older = pointer_to(layout, "b", FEATURES, MODEL, REDUCED, None, "a")
    assert (older["classifier"], older["classifier_run"]) == (f"s3://{BUCKET}/Results/classifier/run=a/", "a")
    without = pointer("b")
    assert (without["training"], without["classifier"], without["classifier_run"]) == (None, None, None)


def test_each_result_remembers_those_before_it_the_newest_first(s3: Any) -> None:
    for number in range(MOST_KEPT_RUNS + 3):
        publish(s3, str(number), etag(s3))
    newest = [str(number) for number in reversed(range(3, MOST_KEPT_RUNS + 3))]
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


@pytest.mark.parametrize("before", [["a"], []], ids=["one before", "the first of all"])
def test_a_race_between_reading_and_writing_is_lost_to_the_other(
    s3: Any, monkeypatch: pytest.MonkeyPatch, before: list[str]
) -> None:
    for run in before:
        publish(s3, run, None)
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


def test_a_pointer_at_its_former_address_is_read_and_moves_to_the_new_one(s3: Any) -> None:
    older = {"run_key": "old", "run_id": "old", "published_at": "2026-01-01"}
    write_json(s3, BUCKET, FORMER_LATEST_KEY, older)
    assert current(s3) == "old"
    publish(s3, "a", etag(s3))
    assert read_pointer(s3, BUCKET).published == ["a", "old"]
    with pytest.raises(PublicationError, match="'b' is not published"):
        publish(s3, "b", None)


def test_who_reads_the_former_address_finds_the_current_result(s3: Any) -> None:
    for run in ("a", "b"):
        publish(s3, run, etag(s3))
        copy_to_former_address(s3, BUCKET)
    former, latest = (
        s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in (FORMER_LATEST_KEY, LATEST_KEY)
    )
    assert former == latest


def test_the_pointer_has_the_same_size_whatever_it_says(s3: Any) -> None:
    """A reader that asks for the size first, and then for so many bytes, gets one whole pointer."""
    longest = "x" * 129
    sizes = set()
    for number in range(MOST_KEPT_RUNS + 1):
        publish(s3, f"{longest}{number}", etag(s3))
        sizes.add(s3.head_object(Bucket=BUCKET, Key=LATEST_KEY)["ContentLength"])
    assert sizes == {32768}


def test_the_pointer_is_json_for_any_reader(s3: Any) -> None:
    publish(s3, "a", None)
    answer = s3.get_object(Bucket=BUCKET, Key=LATEST_KEY)
    assert answer["ContentType"] == "application/json"
    assert set(json.loads(answer["Body"].read())) == Pointer.__required_keys__
