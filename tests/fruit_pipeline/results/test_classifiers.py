"""A result names a classifier of its own features: the new one, or the former where that does not pass."""

from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.results import classifiers
from fruit_pipeline.results.publication import Current, Training
from fruit_pipeline.results.recorded_files import record
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET, FEATURES

PASSED = {"skipped": None, "gate": {"passed": True, "reason": "It is better.", "current_top1": 0.8}}
REFUSED = {"skipped": None, "gate": {"passed": False, "reason": "It is worse.", "current_top1": 0.9}}
SKIPPED = {"skipped": "There is 1 label.", "gate": None}


@pytest.mark.parametrize(
    ("trained", "named"), [(PASSED, "new"), (REFUSED, "old"), (SKIPPED, "old"), (None, "old")]
)
def test_the_former_classifier_stays_where_the_new_one_does_not_pass(trained: Any, named: str) -> None:
    assert classifiers.run_to_name("new", trained, "old") == named
    assert classifiers.run_to_name("new", trained, None) == ("new" if named == "new" else None)


@pytest.fixture
def current(s3: Any, layout: RunLayout) -> Current:
    """A result that names the classifier of an older run, both whole."""
    for name in ("classifier.json", "layers.npz"):
        key = f"{RunLayout(BUCKET, 'old').classifier}{name}"
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"content")
    record(s3, layout, [], "old")
    pointer = {
        "run_key": layout.run_key,
        "files": layout.uri(layout.files),
        "features": {**FEATURES},
        "classifier_run": "old",
    }
    return Current(pointer, "etag")


@pytest.mark.parametrize("change", [{}, {"reader": "spark-image"}, {"input_prefix": "Photos/"}])
def test_a_classifier_takes_features_however_and_wherever_they_were_read(
    s3: Any, current: Current, change: dict[str, Any]
) -> None:
    assert classifiers.usable_run(s3, BUCKET, current, {**FEATURES, **change}) == "old"  # type: ignore[typeddict-item]


@pytest.mark.parametrize("change", [{"fingerprint": "e" * 64}, {"image_size": 96}, {"precision": "float16"}])
def test_a_classifier_of_other_features_is_none_of_this_run(
    s3: Any, current: Current, change: dict[str, Any]
) -> None:
    assert classifiers.usable_run(s3, BUCKET, current, {**FEATURES, **change}) is None  # type: ignore[typeddict-item]


@pytest.mark.parametrize("body", [None, b"con"])
def test_a_classifier_that_is_not_whole_is_none(s3: Any, current: Current, body: bytes | None) -> None:
    key = f"{RunLayout(BUCKET, 'old').classifier}layers.npz"
    s3.delete_object(Bucket=BUCKET, Key=key)
    if body:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert classifiers.usable_run(s3, BUCKET, current, FEATURES) is None


def test_a_classifier_whose_record_cannot_be_read_is_none(
    s3: Any, layout: RunLayout, current: Current
) -> None:
    s3.put_object(Bucket=BUCKET, Key=layout.files, Body=b"{")
    assert classifiers.usable_run(s3, BUCKET, current, FEATURES) is None


def test_without_a_result_or_a_classifier_there_is_none(s3: Any, current: Current) -> None:
    assert current.pointer is not None
    older = {name: value for name, value in current.pointer.items() if name != "classifier_run"}
    for found in (
        Current(None, None),
        Current(older, "etag"),
        Current({**older, "classifier_run": None}, "e"),
    ):
        assert classifiers.usable_run(s3, BUCKET, found, FEATURES) is None


def test_what_is_asked_of_the_step_is_told_from_what_else_is_asked() -> None:
    asked = classifiers.asked(RunParameters(classifier="forest", session_pattern="r", components=9))
    assert asked == Training(classifier="forest", split="session", session_pattern="r")
    assert classifiers.asked(RunParameters(classifier="none")) is None
