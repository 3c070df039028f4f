"""The whole pipeline through a real scheduler: a first run, those that build on it, and those that must fail.

The tests stand in the order in which the runs are made: each finds the photos and the result before it.
"""

import io
import json
import re
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import DAG_ID, LATEST_KEY
from fruit_pipeline.results.publication import read_json
from local_run import generated_photos
from tests.e2e.conftest import BUCKET, PREFIX, Ended, System, save_photo
from tests.repository.secrets_scan import scan, scan_files

LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
ON_THE_CLUSTER = ("publish_artifacts", "create_cluster", "wait_for_cluster", "add_featurize_step")
ON_THE_CLUSTER += ("wait_for_featurize", "add_pca_step", "wait_for_pca", "add_train_step", "wait_for_train")
ON_THE_CLUSTER += ("verify", "publish", "clean")
SMALL = {"components": 8, "minimum_variance": 0.5, "image_size": 96}
ODD_NAMES = ("a b", "a+b", "50%", "a#b", "épi", "two\nlines")


def rows(system: System, prefix: str) -> list[dict[str, Any]]:
    """Of every Parquet file below a prefix."""
    return [
        row
        for key in keys(system, prefix)
        if key.endswith(".parquet")
        for row in pq.read_table(io.BytesIO(body(system, key))).to_pylist()
    ]


def keys(system: System, prefix: str = PREFIX) -> list[str]:
    pages = system.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def body(system: System, key: str) -> bytes:
    content: bytes = system.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    return content


def current(system: System) -> tuple[dict[str, str], list[str]]:
    """The pointer to the current result, and the photos that are in that result."""
    pointer = read_json(system.s3, BUCKET, LATEST_KEY)
    found = rows(system, pointer["pca_output"].removeprefix(f"s3://{BUCKET}/"))
    return pointer, sorted(row["path"] for row in found)


def states(system: System, run_id: str) -> dict[str, str]:
    return {task["task_id"]: task["state"] for task in system.api.task_instances("fruit_features", run_id)}


def counts(ended: Ended) -> dict[str, int]:
    assert ended.report is not None
    return dict(ended.report["images"])  # type: ignore[call-overload,no-any-return]


@pytest.fixture(scope="module")
def good(system: System, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run over 24 photos, six of them with odd names, and three files that are no photos."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(18):
        save_photo(folder / f"Label {number % 4}" / f"{number}_100.jpg", number)
    for number, name in enumerate(ODD_NAMES):
        save_photo(folder / name / f"{name}.jpg", 100 + number)
    for name in ("empty.jpg", "text.jpg", "cut.jpg"):
        (folder / "Label 0" / name).write_bytes(b"" if name == "empty.jpg" else b"not a photo")
    whole = (folder / "Label 0" / "0_100.jpg").read_bytes()
    (folder / "Label 0" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    system.upload(folder)
    return system.run("green", **SMALL)


def test_a_right_run_is_green_and_everything_adds_up(good: Any) -> None:
    assert good.state == "success", good.output
    assert good.report["state"] == "success"
    images = good.report["images"]
    assert (images["found"], images["processed"], images["rejected"]) == (27, 24, 3)
    assert (images["new"], images["reused"]) == (27, 0)
    assert (good.report["feature_dim"], good.report["components"]) == (1280, 8)
    assert 0.5 <= good.report["explained_variance"] <= 1
    assert len(good.report["explained_variance_ratio"]) == 8
    assert good.report["model_loads"] >= 1


def test_the_log_of_the_waiting_task_says_how_far_the_step_was(good: Any, system: System) -> None:
    [task] = [
        each for each in system.api.task_instances(DAG_ID, "green") if each["task_id"] == "wait_for_featurize"
    ]
    entries = system.api.log(DAG_ID, "green", task["task_id"], task["try_number"])
    assert any(str(entry.get("event")).startswith("27 of 27 photos, ") for entry in entries)


@pytest.mark.parametrize(
    ("task", "said"),
    [("wait_for_featurize", "27 images: 24 processed, 3 rejected"), ("wait_for_pca", "8 components")],
)
def test_the_page_of_a_waiting_task_links_to_the_log_of_its_step(
    good: Any, system: System, task: str, said: str
) -> None:
    answer = system.api.call("GET", f"/dags/{DAG_ID}/dagRuns/green/taskInstances/{task}/links")
    links = answer.raise_for_status().json()["extra_links"]
    assert links.keys() == {"Step log", "Spark history server"}
    assert links["Spark history server"] is None, "local AWS has none"
    assert said in httpx.get(links["Step log"]).raise_for_status().text


def test_the_report_names_every_task_before_it(good: Any) -> None:
    names = [task["name"] for task in good.report["tasks"]]
    assert names[:5] == ["plan", "guards", "publish_artifacts", "create_cluster", "wait_for_cluster"]
    assert {"terminate_cluster", "publish"} <= set(names)
    assert all(task["state"] == "success" for task in good.report["tasks"])
    steps = good.report["timing"]["steps"]
    assert [step["name"] for step in steps] == ["featurize", "reduce", "train"]
    for step in steps:
        assert 0 < step["startup"] < step["seconds"], step
        assert 0 < step["idle"] < 1, step
    assert 0 < good.report["timing"]["idle"] < 1


def test_the_cluster_was_the_recorded_one_and_is_gone(good: Any, system: System) -> None:
    cluster = good.report["cluster"]
    assert (cluster["release"], cluster["final_state"]) == ("emr-7.13.0", "TERMINATED")
    assert sorted((node["type"], node["market"]) for node in cluster["instances"]) == [
        ("m6g.xlarge", "SPOT"),
        ("m6g.xlarge", "SPOT"),
        ("m6g.xlarge", "SPOT"),
    ]
    assert system.clusters(*LIVE) == []
    assert 0 < good.report["cost"]["actual"] <= good.report["cost"]["estimate"] < 10


def test_odd_names_keep_every_character(good: Any, system: System) -> None:
    found = rows(system, good.layout.pca_output)
    assert {row["label"] for row in found} == {"Label 0", "Label 1", "Label 2", "Label 3", *ODD_NAMES}
    assert {f"s3://{BUCKET}/Test/{name}/{name}.jpg" for name in ODD_NAMES} <= {row["path"] for row in found}
    assert all(len(row["features"]) == 8 for row in found)


def test_every_rejected_file_has_a_reason(good: Any, system: System) -> None:
    rejected = {row["path"].rpartition("/")[2]: row["reason"] for row in rows(system, good.layout.rejected)}
    assert rejected.keys() == {"empty.jpg", "text.jpg", "cut.jpg"}
    assert all(rejected.values())


def test_the_result_is_current(good: Any) -> None:
    assert good.latest["run_id"] == "green"
    assert good.latest["pca_output"].endswith("Results/pca_output/run=green/")


def test_what_lies_on_s3_is_encrypted(good: Any, system: System) -> None:
    logs = keys(system, f"logs/{good.report['cluster']['id']}/")
    assert len(logs) >= 9, "three steps leave controller, stdout and stderr each"
    for key in (good.layout.report, good.layout.variance_plot, good.layout.work_list, *logs):
        assert system.s3.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] == "AES256"


def test_the_report_says_what_was_seen_of_encryption(good: Any) -> None:
    seen = good.report["encryption"]
    assert seen["not_seen"] == {}
    assert seen["bucket"]["tls_only"]
    assert seen["bucket"]["public_access_blocked"]
    assert seen["objects"]["checked"] == seen["objects"]["total"] >= 20
    assert seen["objects"]["algorithms"] == {"AES256": seen["objects"]["total"]}
    assert seen["cluster"]["security_configuration"] is None
    assert seen["cluster"]["in_transit"] is False


def test_neither_report_nor_logs_show_a_key_or_the_account(good: Any, system: System) -> None:
    assert scan(json.dumps(good.report)) == []
    logs = system.stack.paths.state / "airflow" / "logs"
    assert len(list(logs.rglob("*.log"))) >= 13, "every task leaves a log"
    assert scan_files(logs) == []


def test_nothing_that_the_run_put_on_s3_shows_a_key_or_the_account(good: Any, system: System) -> None:
    """EMR's logs, code, model and runtime, the work list, both steps' metrics, the report and the results."""
    run = f"run={good.layout.run_key}/"
    results = [key for key in keys(system, "Results/") if run in key]
    scanned = [*keys(system, "logs/"), *keys(system, "artifacts/"), *results]
    assert [finding for key in scanned for finding in scan(body(system, key), key)] == []
    parts = ("stderr.gz", "code.zip", "model.json", "runtime", "hard_lifetime.sh", "work_list", "report.json")
    for part in parts:
        assert any(part in key for key in scanned), f"no {part} among {scanned}"


@pytest.mark.rare
def test_a_run_in_a_bucket_outside_the_eu_is_red_and_leaves_nothing_there(system: System) -> None:
    elsewhere = system.stack.client("s3", "us-east-1")
    elsewhere.create_bucket(Bucket="fruits-in-virginia")
    before = len(system.clusters())
    ended = system.run("virginia", bucket="fruits-in-virginia", components=8)
    assert ended.state == "failed"
    assert "'fruits-in-virginia' lies in us-east-1, outside the EU" in ended.output
    assert len(system.clusters()) == before
    assert elsewhere.list_objects_v2(Bucket="fruits-in-virginia")["KeyCount"] == 0


def test_nobody_is_admin_for_the_asking(system: System) -> None:
    url, wrong = system.stack.airflow.url, {"username": "admin", "password": ""}
    asked = [
        httpx.get(f"{url}/auth/token"),
        httpx.get(f"{url}/auth/token/login"),
        httpx.post(f"{url}/auth/token", json=wrong),
        httpx.post(f"{url}/auth/token", json=wrong | {"password": "admin"}),
        httpx.get(f"{url}/api/v2/dags"),
    ]
    assert [answer.status_code for answer in asked] == [403, 403, 400, 401, 401]
    assert [answer.cookies for answer in asked if answer.cookies] == []
    assert system.stack.airflow.home.joinpath("passwords.json").stat().st_mode & 0o077 == 0


def test_a_parameter_out_of_range_is_refused_at_the_trigger(system: System) -> None:
    with pytest.raises(Exception, match="components"):
        system.run("refused", components=0)


def test_where_nothing_is_new_there_is_no_cluster_and_the_run_is_green(good: Any, system: System) -> None:
    """Three of the photos were rejected and have not changed: they are nothing new either."""
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
    expected = "Nothing is new among 27 photos: the result of run green stays current."
    assert ended.report["changes"] == expected
    assert ended.report["cost"]["actual"] == 0
    assert ended.latest == good.latest


def test_bad_input_is_one_sentence_before_any_cluster(good: Any, system: System) -> None:
    """One refusal for all: what is refused is shown by the tests of the tasks."""
    before = len(system.clusters())
    ended = system.run("few", components=256)
    assert ended.state == "failed", ended.output
    assert "lower components to at most 26" in ended.output.replace("\n", " ")
    assert len(system.clusters()) == before
    assert ended.latest == good.latest
    # Where people look: the report, the note on the run, and the log of the task without a traceback.
    assert ended.report is not None
    failure = str(ended.report["failure"])
    assert failure.startswith("The run failed in plan: There are 27 images")
    assert system.api.run(DAG_ID, "few")["note"].startswith(f"Red: {failure}")
    for name in ("plan", "report"):
        [error] = [entry for entry in system.api.log(DAG_ID, "few", name, 1) if "error_detail" in entry]
        assert [detail["frames"] for detail in error["error_detail"]] == [[]]


def test_no_log_says_where_botocore_found_its_credentials(good: Any, system: System) -> None:
    logs = system.stack.paths.state / "airflow" / "logs" / f"dag_id={DAG_ID}" / "run_id=green"
    written = [path.read_text() for path in logs.rglob("*.log")]
    assert any("photos: 27 new" in text for text in written)
    assert [text for text in written if "Found credentials" in text or "Found endpoint" in text] == []


def assert_failed_safely(ended: Ended, system: System, task: str, before: Any) -> None:
    """Red, the right task named, no cluster left, the result before it still current and readable."""
    assert ended.state == "failed", ended.output
    assert ended.report is not None
    assert task in str(ended.report["failure"]), ended.output
    assert ended.report["cluster"]["final_state"] == "TERMINATED"
    assert system.clusters(*LIVE) == []
    assert current(system) == before


def test_a_drop_of_one_bad_photo_and_a_changed_one_costs_those_two(good: Any, system: System) -> None:
    photo = generated_photos.encode(generated_photos.photo(generated_photos.FRUITS[3], 999))
    system.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}Label 1/1_100.jpg", Body=photo)
    system.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}Bad/bad.jpg", Body=b"not a photo")
    ended = system.run("drop", **SMALL)
    assert ended.state == "success", ended.output
    expected = {"found": 28, "new": 1, "changed": 1, "reused": 26, "processed": 24, "rejected": 4}
    assert counts(ended) | expected == counts(ended)
    _, paths = current(system)
    assert len(paths) == len(set(paths)) == 24


@pytest.mark.rare
def test_too_little_variance_is_red_and_what_was_featurized_is_used_by_the_next_run(
    good: Any, system: System
) -> None:
    save_photo(system.stack.paths.state / "late" / "Label 0" / "late.jpg", 77)
    late = (system.stack.paths.state / "late" / "Label 0" / "late.jpg").read_bytes()
    system.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}Label 0/late.jpg", Body=late)
    before = current(system)
    ended = system.run("gate", components=2, minimum_variance=0.999, image_size=96)
    assert_failed_safely(ended, system, "wait_for_pca", before)
    assert re.search(r"Set components to \d+, or lower the minimum variance", ended.output), ended.output
    assert counts(ended)["new"] == 1
    after = system.run("after-gate", **SMALL)
    assert after.state == "success", after.output
    assert counts(after)["new"] == 0
    assert states(system, "after-gate")["add_featurize_step"] == "skipped"
    assert f"s3://{BUCKET}/{PREFIX}Label 0/late.jpg" in current(system)[1]


@pytest.mark.rare
def test_a_result_that_has_lost_a_file_is_made_anew_though_nothing_is_new(good: Any, system: System) -> None:
    pointer, paths = current(system)
    folder = pointer["pca_output"].removeprefix(f"s3://{BUCKET}/")
    lost = next(key for key in keys(system, folder) if key.endswith(".parquet"))
    system.s3.delete_object(Bucket=BUCKET, Key=lost)
    ended = system.run("mended", **SMALL)
    assert ended.state == "success", ended.output
    assert ended.report is not None
    assert f"1 of {folder}" in str(ended.report["changes"])
    assert counts(ended)["new"] == 0
    assert current(system)[1] == paths


@pytest.mark.rare
def test_a_run_that_only_deletes_and_asks_for_no_classifier_has_the_pca_step_alone(
    good: Any, system: System
) -> None:
    gone = [f"{PREFIX}Label {number % 4}/{number}_100.jpg" for number in range(3)]
    for key in gone:
        system.s3.delete_object(Bucket=BUCKET, Key=key)
    _, before = current(system)
    ended = system.run("fewer", **SMALL, classifier="none")
    assert ended.state == "success", ended.output
    seen = states(system, "fewer")
    for name in ("add_featurize_step", "wait_for_featurize", "add_train_step", "wait_for_train"):
        assert seen[name] == "skipped"
    for name in ("add_pca_step", "verify", "publish", "terminate_cluster"):
        assert seen[name] == "success"
    expected = {"found": len(keys(system)), "deleted": 3, "processed": len(before) - 3}
    assert counts(ended) | expected == counts(ended)
    assert current(system)[1] == [path for path in before if path.removeprefix(f"s3://{BUCKET}/") not in gone]
    assert ended.report is not None
    assert ended.report["cluster"]["final_state"] == "TERMINATED"
    assert ended.report["model"] is not None


@pytest.mark.rare
def test_when_all_photos_are_deleted_the_old_result_stays(good: Any, system: System) -> None:
    count, before, clusters = len(keys(system)), current(system), len(system.clusters())
    for key in keys(system):
        system.s3.delete_object(Bucket=BUCKET, Key=key)
    ended = system.run("none-left", **SMALL)
    assert ended.state == "failed"
    assert f"All {count} images under s3://fruits-e2e/Test/ were deleted" in ended.output.replace("\n", " ")
    assert len(system.clusters()) == clusters
    assert current(system) == before


@pytest.mark.rare
def test_a_run_of_corrupt_files_alone_is_red(good: Any, system: System, corrupt_photos: Path) -> None:
    before = current(system)
    system.upload(corrupt_photos)
    ended = system.run("corrupt", **SMALL)
    assert_failed_safely(ended, system, "wait_for_featurize", before)
    assert "All 12 images were rejected" in ended.output, "the log of the task does not say why"
