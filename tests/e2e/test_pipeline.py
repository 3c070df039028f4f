"""The whole pipeline through a real scheduler: a run that must succeed, and runs that must fail."""

import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.e2e.conftest import BUCKET, System, save_photo
from tests.secrets_scan import scan, scan_files

LIVE = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
ODD_NAMES = ("a b", "a+b", "50%", "a#b", "épi", "two\nlines")


def rows(s3: Any, prefix: str) -> list[dict[str, Any]]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    keys = [entry["Key"] for entry in found if entry["Key"].endswith(".parquet")]
    return [
        row
        for key in keys
        for row in pq.read_table(io.BytesIO(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())).to_pylist()
    ]


@pytest.fixture(scope="module")
def good(system: System, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run over 40 photos, six of them with odd names, and three files that are no photos."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(34):
        save_photo(folder / f"Label {number % 4}" / f"{number}_100.jpg", number)
    for number, name in enumerate(ODD_NAMES):
        save_photo(folder / name / f"{name}.jpg", 100 + number)
    for name in ("empty.jpg", "text.jpg", "cut.jpg"):
        (folder / "Label 0" / name).write_bytes(b"" if name == "empty.jpg" else b"not a photo")
    whole = (folder / "Label 0" / "0_100.jpg").read_bytes()
    (folder / "Label 0" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    system.upload(folder)
    return system.run("green", components=8, minimum_variance=0.5, image_size=96)


def test_a_right_run_is_green_and_everything_adds_up(good: Any) -> None:
    assert good.state == "success", good.output
    assert good.report["state"] == "success"
    images = good.report["images"]
    assert (images["found"], images["processed"], images["rejected"]) == (43, 40, 3)
    assert (good.report["feature_dim"], good.report["components"]) == (1280, 8)
    assert 0.5 <= good.report["explained_variance"] <= 1
    assert len(good.report["explained_variance_ratio"]) == 8
    assert good.report["model_loads"] >= 1


def test_the_report_names_every_task_before_it(good: Any) -> None:
    names = [task["name"] for task in good.report["tasks"]]
    assert names[:5] == ["plan", "guards", "publish_artifacts", "create_cluster", "wait_for_cluster"]
    assert {"terminate_cluster", "publish"} <= set(names)
    assert all(task["state"] == "success" for task in good.report["tasks"])


def test_the_cluster_was_the_recorded_one_and_is_gone(good: Any, system: System) -> None:
    cluster = good.report["cluster"]
    assert (cluster["release"], cluster["final_state"]) == ("emr-7.13.0", "TERMINATED")
    assert sorted((node["type"], node["market"]) for node in cluster["instances"]) == [
        ("m6g.large", "SPOT"),
        ("m6g.large", "SPOT"),
        ("m6g.xlarge", "SPOT"),
    ]
    assert system.clusters(*LIVE) == []
    assert 0 < good.report["cost"]["actual"] <= good.report["cost"]["estimate"] < 10


def test_odd_names_keep_every_character(good: Any, system: System) -> None:
    found = rows(system.s3, good.layout.pca_output)
    assert {row["label"] for row in found} == {"Label 0", "Label 1", "Label 2", "Label 3", *ODD_NAMES}
    assert {f"s3://{BUCKET}/Test/{name}/{name}.jpg" for name in ODD_NAMES} <= {row["path"] for row in found}
    assert all(len(row["features"]) == 8 for row in found)


def test_every_rejected_file_has_a_reason(good: Any, system: System) -> None:
    rejected = {
        row["path"].rpartition("/")[2]: row["reason"] for row in rows(system.s3, good.layout.rejected)
    }
    assert rejected.keys() == {"empty.jpg", "text.jpg", "cut.jpg"}
    assert all(rejected.values())


def test_the_result_is_current(good: Any) -> None:
    assert good.latest["run_id"] == "green"
    assert good.latest["pca_output"].endswith("Results/pca_output/run=green/")


def test_what_lies_on_s3_is_encrypted(good: Any, system: System) -> None:
    listed = system.s3.list_objects_v2(Bucket=BUCKET, Prefix=f"logs/{good.report['cluster']['id']}/")
    logs = [entry["Key"] for entry in listed["Contents"]]
    assert len(logs) >= 6, "two steps leave controller, stdout and stderr each"
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
    scanned: list[str] = []
    for prefix in ("logs/", "artifacts/", "Results/"):
        for page in system.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix):
            for key in (entry["Key"] for entry in page.get("Contents", [])):
                if prefix != "Results/" or run in key:
                    assert scan(system.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read(), key) == []
                    scanned.append(key)
    for part in (
        "stderr.gz",
        "code.zip",
        "model.json",
        "runtime",
        "hard_lifetime.sh",
        "work_list",
        "report.json",
    ):
        assert any(part in key for key in scanned), f"no {part} among {scanned}"


def assert_failed_safely(ended: Any, system: System, task: str) -> None:
    """Red, the right task named, no cluster left, the old result still current and readable."""
    assert ended.state == "failed", ended.output
    assert task in ended.report["failure"], ended.output
    assert system.clusters(*LIVE) == []
    assert ended.latest["run_id"] == "green"
    assert len(rows(system.s3, "Results/pca_output/run=green/")) == 40


def test_a_run_in_a_bucket_outside_the_eu_is_red_and_leaves_nothing_there(system: System) -> None:
    elsewhere = system.stack.client("s3", "us-east-1")
    elsewhere.create_bucket(Bucket="fruits-in-virginia")
    before = len(system.clusters())
    ended = system.run("virginia", bucket="fruits-in-virginia", components=8)
    assert ended.state == "failed"
    assert "'fruits-in-virginia' lies in us-east-1, outside the EU" in ended.output
    assert len(system.clusters()) == before
    assert elsewhere.list_objects_v2(Bucket="fruits-in-virginia")["KeyCount"] == 0


def test_a_run_of_corrupt_files_alone_is_red(good: Any, system: System, corrupt_photos: Path) -> None:
    system.upload(corrupt_photos)
    ended = system.run("corrupt", components=8, image_size=96)
    assert_failed_safely(ended, system, "wait_for_featurize")
    assert "All 12 images were rejected" in ended.output, "the log of the task does not say why"
    assert ended.report["cluster"]["final_state"] == "TERMINATED"


def test_too_little_variance_is_red(good: Any, system: System, photos: Callable[[int], Path]) -> None:
    system.upload(photos(40))
    ended = system.run("gate", components=2, minimum_variance=0.999, image_size=96)
    assert_failed_safely(ended, system, "wait_for_pca")
    assert re.search(r"Set components to \d+, or lower the minimum variance", ended.output), ended.output
    assert ended.report["images"]["processed"] == 40
    assert ended.report["explained_variance"] < 0.999


@pytest.mark.parametrize(
    ("run_id", "parameters", "sentence"),
    [
        ("few", {"components": 256}, "lower components to at most 39"),
        ("none", {"input_prefix": "Nothing/"}, "There are no images under s3://fruits-e2e/Nothing/"),
        ("unknown", {"colour": "red"}, "Parameter 'colour' is unknown"),
        ("dear", {"workers": 90, "components": 8}, "more than budget_eur 10"),
    ],
)
def test_bad_input_is_one_sentence_before_any_cluster(
    good: Any,
    system: System,
    photos: Callable[[int], Path],
    run_id: str,
    parameters: dict[str, Any],
    sentence: str,
) -> None:
    system.upload(photos(40))
    before = len(system.clusters())
    ended = system.run(run_id, **parameters)
    assert ended.state == "failed", ended.output
    assert sentence in ended.output.replace("\n", " ")
    assert len(system.clusters()) == before
    assert ended.latest["run_id"] == "green"


def test_a_parameter_out_of_range_is_refused_at_the_trigger(system: System) -> None:
    with pytest.raises(Exception, match="components"):
        system.run("refused", components=0)
