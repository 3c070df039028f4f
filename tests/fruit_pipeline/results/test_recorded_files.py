"""Promise: what is lost or cut off of a published result is seen, wherever it lies."""

from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.results.publication import Current
from fruit_pipeline.results.recorded_files import classifier_run_of, damaged, record, source_prefix
from tests.fruit_pipeline.conftest import BUCKET

SOURCE = "run=before"
TRAINED = "before"


@pytest.fixture
def keys(s3: Any, layout: RunLayout) -> list[str]:
    """Two files below each prefix of a result."""
    own = (layout.pca_output, layout.pca_model, layout.manifest, layout.rejected)
    prefixes = (*own, RunLayout(BUCKET, TRAINED).classifier, source_prefix(SOURCE))
    keys = [f"{prefix}{name}" for prefix in prefixes for name in ("a", "b/c")]
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"content")
    record(s3, layout, [SOURCE], TRAINED)
    return [*keys, layout.files]


def damage(s3: Any, layout: RunLayout, recorded: bool = True) -> dict[str, int]:
    pointer = {"run_key": layout.run_key, "classifier_run": TRAINED} | (
        {"files": layout.uri(layout.files)} if recorded else {}
    )
    return damaged(s3, BUCKET, Current(pointer, "etag"), [SOURCE])


def test_a_whole_result_is_not_damaged(s3: Any, layout: RunLayout, keys: list[str]) -> None:
    assert damage(s3, layout) == {}


@pytest.mark.parametrize("number", range(13))
def test_each_file_that_is_lost_or_cut_is_counted(
    s3: Any, layout: RunLayout, keys: list[str], number: int
) -> None:
    key = keys[number]
    s3.delete_object(Bucket=BUCKET, Key=key)
    lost = damage(s3, layout)
    assert [prefix for prefix in lost if key.startswith(prefix)]
    assert list(lost.values()) == [1]
    if key != layout.files:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"con")
        assert damage(s3, layout) == lost


def test_of_a_result_without_a_record_a_prefix_without_files_is_damaged(
    s3: Any, layout: RunLayout, keys: list[str]
) -> None:
    s3.delete_object(Bucket=BUCKET, Key=layout.files)
    s3.delete_object(Bucket=BUCKET, Key=f"{layout.pca_output}a")
    assert damage(s3, layout, recorded=False) == {}
    s3.delete_object(Bucket=BUCKET, Key=f"{layout.pca_output}b/c")
    assert damage(s3, layout, recorded=False) == {layout.pca_output: 1}


def test_how_far_the_step_was_is_no_part_of_a_result(s3: Any, layout: RunLayout, keys: list[str]) -> None:
    before = s3.get_object(Bucket=BUCKET, Key=layout.files)["Body"].read()
    s3.put_object(Bucket=BUCKET, Key=layout.progress, Body=b"{}")
    record(s3, layout, [SOURCE], TRAINED)
    assert s3.get_object(Bucket=BUCKET, Key=layout.files)["Body"].read() == before
    s3.put_object(Bucket=BUCKET, Key=layout.progress, Body=b"{...}")
    assert damage(s3, layout) == {}


def test_the_record_of_a_result_says_whose_classifier_it_names(
    s3: Any, layout: RunLayout, keys: list[str]
) -> None:
    assert classifier_run_of(s3, layout) == TRAINED
    record(s3, layout, [SOURCE], None)
    assert classifier_run_of(s3, layout) is None
    assert classifier_run_of(s3, RunLayout(BUCKET, "no-such-run")) is None
