"""What a kept result refers to stays, and so do reports, photos and runs under way; the rest goes."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fruit_contract.layout import CLASSIFIERS_PREFIX, FEATURES_PREFIX, LATEST_KEY, NOTEBOOKS_PREFIX, RunLayout
from fruit_contract.manifest import DEAD, LIVE
from fruit_pipeline.photos.manifest_merge import Row
from fruit_pipeline.results import garbage
from fruit_pipeline.results.publication import read_pointer, write_json
from fruit_pipeline.results.recorded_files import record
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.photos.test_changes import put_manifest
from tests.fruit_pipeline.results.test_publication import publish


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto in memory sends no Date header."""
    monkeypatch.setattr(garbage, "_now", lambda s3, bucket: datetime.now(UTC))


def put_run(s3: Any, name: str, sources: tuple[str, ...] = (), dead: tuple[str, ...] = ()) -> RunLayout:
    """A run that is published, with a file under each of its prefixes."""
    layout = RunLayout(BUCKET, name)
    leave_files(s3, layout)
    rows = [Row(source, "1", 1, LIVE, None, source) for source in sources or (layout.source,)]
    rows += [Row(source, "1", 1, DEAD, None, source) for source in dead]
    put_manifest(s3, layout, sorted(rows))
    publish(s3, name, read_pointer(s3, BUCKET).etag)
    return layout


def leave_files(s3: Any, layout: RunLayout) -> None:
    for key in (
        layout.work_list,
        layout.progress,
        f"{layout.features}part-0.parquet",
        f"{layout.rejected}part-0.parquet",
        f"{layout.pca_output}part-0.parquet",
        f"{layout.pca_model}metadata/part-00000",
        f"{layout.classifier}classifier.json",
        layout.report,
    ):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"12345")


def keys(s3: Any, prefix: str = "") -> set[str]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


def of_run(s3: Any, name: str) -> set[str]:
    return {key for key in keys(s3) if f"={name}/" in key}


def test_runs_beyond_the_kept_ones_go_and_their_reports_stay(s3: Any) -> None:
    # Named as what goes, but below the prefix of people's notebooks.
    saved = f"{NOTEBOOKS_PREFIX}jovyan/Results/pca_output/run=a/part-0.parquet"
    s3.put_object(Bucket=BUCKET, Key=saved, Body=b"mine")
    layouts = [put_run(s3, name) for name in "abcd"]
    done = garbage.collect(s3, BUCKET, keep_runs=2)
    assert of_run(s3, "a") == {layouts[0].report, saved}
    assert of_run(s3, "b") == {layouts[1].report}
    assert all(len(of_run(s3, name)) == 9 for name in "cd")
    assert len(done.removed) == 14
    assert (done.objects, done.kept) == (16, 14)
    assert LATEST_KEY in keys(s3)


def test_features_that_a_kept_result_refers_to_stay_whoever_wrote_them(s3: Any) -> None:
    for name in "ab":
        put_run(s3, name)
    put_run(s3, "c", sources=("run=a", "run=c"), dead=("run=b",))
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert {key.split("/")[2] for key in keys(s3, FEATURES_PREFIX)} == {"run=a", "run=b", "run=c"}
    assert {key.split("/")[2] for key in keys(s3, "Results/manifest/")} == {"run=c"}


def test_a_classifier_stays_while_a_kept_result_names_it_whoever_trained_it(s3: Any) -> None:
    for name, classifier_run in {"a": "a", "b": "a", "c": "c", "d": "c"}.items():
        record(s3, put_run(s3, name), [], classifier_run)
    kept = {3: {"a", "b", "c", "d"}, 2: {"c", "d"}, 1: {"c", "d"}}
    for keep_runs, runs in kept.items():
        garbage.collect(s3, BUCKET, keep_runs)
        left = {key.split("/")[2] for key in keys(s3, CLASSIFIERS_PREFIX)}
        assert left == {f"run={run}" for run in runs}


def test_the_current_classifier_stays_though_the_record_of_its_result_is_lost(s3: Any) -> None:
    put_run(s3, "a")
    layout, etag = put_run(s3, "b"), read_pointer(s3, BUCKET).etag
    write_json(s3, BUCKET, LATEST_KEY, {**read_pointer(s3, BUCKET).pointer, "classifier_run": "a"})  # type: ignore[dict-item]
    assert read_pointer(s3, BUCKET).etag != etag
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert of_run(s3, "a") == {
        RunLayout(BUCKET, "a").report,
        f"{RunLayout(BUCKET, 'a').classifier}classifier.json",
    }
    assert f"{layout.classifier}classifier.json" in keys(s3)


def test_compacted_features_go_when_nothing_refers_to_them(s3: Any) -> None:
    put_run(s3, "a", sources=("compacted=a",))
    put_run(s3, "b", sources=("compacted=a", "run=b"))
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert {key.split("/")[2] for key in keys(s3, FEATURES_PREFIX)} == {"compacted=a", "run=b"}
    put_run(s3, "c", sources=("compacted=c",))
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert {key.split("/")[2] for key in keys(s3, FEATURES_PREFIX)} == {"compacted=c"}


def test_a_run_that_may_be_under_way_is_left_alone_for_two_days(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_run(s3, "a")
    other = RunLayout(BUCKET, "unpublished")
    leave_files(s3, other)
    before = keys(s3)
    assert garbage.collect(s3, BUCKET, keep_runs=1).removed == []
    assert keys(s3) == before
    later = datetime.now(UTC) + garbage.GRACE + timedelta(minutes=1)
    monkeypatch.setattr(garbage, "_now", lambda s3, bucket: later)
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert of_run(s3, "unpublished") == {other.report}
    assert len(of_run(s3, "a")) == 9


def test_a_dry_run_says_the_same_and_removes_nothing(s3: Any) -> None:
    for name in "abc":
        put_run(s3, name)
    before = keys(s3)
    dry = garbage.collect(s3, BUCKET, keep_runs=1, dry_run=True)
    assert keys(s3) == before
    assert dry == garbage.collect(s3, BUCKET, keep_runs=1)
    assert str(dry).startswith("14 folders that no kept result refers to, with 16 objects")


def test_without_a_result_nothing_is_removed(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_files(s3, RunLayout(BUCKET, "a"))
    monkeypatch.setattr(garbage, "_now", lambda s3, bucket: datetime.now(UTC) + 10 * garbage.GRACE)
    before = keys(s3)
    assert garbage.collect(s3, BUCKET, keep_runs=1).removed == []
    assert keys(s3) == before


def test_photos_artifacts_and_logs_are_never_touched(s3: Any) -> None:
    others = {"Test/a/1.jpg", "Test/run=a/1.jpg", "artifacts/0/code.zip", "logs/j-1/x", "Results/notes.txt"}
    for key in others:
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    for name in "abc":
        put_run(s3, name)
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert others <= keys(s3)


def test_what_s3_refuses_to_delete_is_said(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        put_run(s3, name)
    answer = {"Errors": [{"Key": "k", "Code": "AccessDenied"}]}
    monkeypatch.setattr(s3, "delete_objects", lambda **_: answer)
    with pytest.raises(garbage.GarbageError, match=r"did not delete 'k' .*AccessDenied"):
        garbage.collect(s3, BUCKET, keep_runs=1)


def test_a_file_goes_whatever_characters_its_key_has(s3: Any) -> None:
    layout = put_run(s3, "a")
    s3.put_object(Bucket=BUCKET, Key=f"{layout.features}\x01\ufffe\uffff.parquet", Body=b"")
    put_run(s3, "b")
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert of_run(s3, "a") == {layout.report}


def test_markers_of_folders_go_with_them(s3: Any) -> None:
    """EMRFS, on emr-6, leaves an object beside a folder."""
    for name in "ab":
        layout = put_run(s3, name)
        for folder in (layout.features, layout.pca_output):
            s3.put_object(Bucket=BUCKET, Key=f"{folder.rstrip('/')}_$folder$", Body=b"")
    garbage.collect(s3, BUCKET, keep_runs=1)
    assert {key for key in keys(s3) if key.endswith("_$folder$")} == {
        "Results/features/run=b_$folder$",
        "Results/pca_output/run=b_$folder$",
    }
