"""Runs that build on one another through a real scheduler: drops, deletions, nothing new, all gone."""

import io
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from local_run import images
from tests.e2e.conftest import BUCKET, PREFIX, Ended, System

SMALL = {"components": 4, "minimum_variance": 0.1, "image_size": 96}
ON_THE_CLUSTER = ("publish_artifacts", "create_cluster", "wait_for_cluster", "add_featurize_step")
ON_THE_CLUSTER += ("wait_for_featurize", "add_pca_step", "wait_for_pca", "verify", "publish", "clean")


def states(system: System, run_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in system.api.task_instances("fruit_features", run_id)}


def paths(system: System, ended: Ended) -> list[str]:
    """The photos of the current result."""
    assert ended.latest is not None
    prefix = ended.latest["pca_output"].removeprefix(f"s3://{BUCKET}/")
    listed = system.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]
    files = [entry["Key"] for entry in listed if entry["Key"].endswith(".parquet")]
    bodies = (system.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in files)
    return [path for body in bodies for path in pq.read_table(io.BytesIO(body)).column("path").to_pylist()]


def counts(ended: Ended) -> dict[str, int]:
    assert ended.report is not None
    return dict(ended.report["images"])  # type: ignore[call-overload,no-any-return]


def keys(system: System) -> list[str]:
    listed = system.s3.list_objects_v2(Bucket=BUCKET, Prefix=PREFIX).get("Contents", [])
    return [entry["Key"] for entry in listed]


@pytest.fixture(scope="module")
def first(system: System, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    system.upload(images.generate(tmp_path_factory.mktemp("photos"), 20))
    return system.run("first", **SMALL)


def test_the_first_run_featurizes_all(first: Ended, system: System) -> None:
    assert first.state == "success", first.output
    assert counts(first) | {"found": 20, "new": 20, "processed": 20, "reused": 0} == counts(first)
    assert len(paths(system, first)) == 20


def test_where_nothing_is_new_there_is_no_cluster_and_the_run_is_green(first: Ended, system: System) -> None:
    before = len(system.clusters())
    ended = system.run("same", **SMALL)
    assert ended.state == "success", ended.output
    assert len(system.clusters()) == before
    seen = states(system, "same")
    assert {name: seen[name] for name in ON_THE_CLUSTER} == dict.fromkeys(ON_THE_CLUSTER, "skipped")
    assert seen["terminate_cluster"] == "skipped"
    assert (seen["guards"], seen["report"]) == ("success", "success")
    assert ended.report is not None
    assert ended.report["nothing_new"]
    expected = "Nothing is new among 20 photos: the result of run first stays current."
    assert ended.report["changes"] == expected
    assert ended.report["cost"]["actual"] == 0
    assert ended.latest == first.latest


def test_a_run_that_only_deletes_has_no_featurize_step(first: Ended, system: System) -> None:
    for key in keys(system)[:3]:
        system.s3.delete_object(Bucket=BUCKET, Key=key)
    ended = system.run("fewer", **SMALL)
    assert ended.state == "success", ended.output
    seen = states(system, "fewer")
    assert (seen["add_featurize_step"], seen["wait_for_featurize"]) == ("skipped", "skipped")
    assert (seen["add_pca_step"], seen["terminate_cluster"]) == ("success", "success")
    assert counts(ended) | {"found": 17, "deleted": 3, "reused": 17, "processed": 17} == counts(ended)
    assert sorted(paths(system, ended)) == [f"s3://{BUCKET}/{key}" for key in keys(system)]
    assert ended.report is not None
    assert ended.report["cluster"]["final_state"] == "TERMINATED"
    assert ended.report["model"] is not None


def test_a_drop_of_one_bad_photo_and_a_changed_one_costs_those_two(
    first: Ended, system: System, tmp_path: Path
) -> None:
    changed = keys(system)[0]
    body = images.encode(images.photo(images.FRUITS[3], 999))
    system.s3.put_object(Bucket=BUCKET, Key=changed, Body=body)
    system.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}Bad/bad.jpg", Body=b"not a photo")
    ended = system.run("drop", **SMALL)
    assert ended.state == "success", ended.output
    expected = {"found": 18, "new": 1, "changed": 1, "reused": 16, "processed": 17, "rejected": 1}
    assert counts(ended) | expected == counts(ended)
    assert len(paths(system, ended)) == len(set(paths(system, ended))) == 17
    again = system.run("drop-again", **SMALL)
    assert again.report is not None
    assert again.report["nothing_new"], "a rejected photo that has not changed is nothing new"


def test_when_all_photos_are_deleted_the_old_result_stays(first: Ended, system: System) -> None:
    for key in keys(system):
        system.s3.delete_object(Bucket=BUCKET, Key=key)
    before = len(system.clusters())
    ended = system.run("none-left", **SMALL)
    assert ended.state == "failed"
    assert "All 18 images under s3://fruits-e2e/Test/ were deleted" in ended.output.replace("\n", " ")
    assert len(system.clusters()) == before
    assert ended.latest is not None
    assert ended.latest["run_id"] == "drop"
    assert len(paths(system, ended)) == 17
