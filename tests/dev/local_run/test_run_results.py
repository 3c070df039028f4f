"""The table after a local run shows what was expected beside what happened, and where the time went."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import StepTime, TaskTime, Timing
from fruit_pipeline.results.publication import write_json
from local_run import results
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.results.test_publication import publish


@pytest.fixture
def report() -> Any:
    return {
        "run_id": "r",
        "state": "success",
        "nothing_new": False,
        "images": {
            "found": 60,
            "new": 50,
            "changed": 5,
            "processed": 59,
            "rejected": 1,
            "reused": 5,
            "deleted": 2,
        },
        "model": None,
        "images_per_second": 4.0,
        "images_per_second_per_core": 2.0,
        "model_loads": 2,
        "explained_variance": None,
        "classifier": None,
        "cluster": {"id": "j-1", "release": "emr-7.13.0", "final_state": "TERMINATED"},
        "cost": {"estimate": 1.2, "expected": 0.061, "actual": 0.012, "currency": "EUR"},
        "sizing": {
            "chosen": {"worker_type": "m6g.xlarge", "workers": 1},
            "automatic": True,
            "expected_minutes": 11.5,
            "actual_minutes": 1.25,
        },
        "tasks": [
            TaskTime(name="plan", started_after=0.5, waited=0.25, seconds=2.75, state="success"),
            TaskTime(name="guards", started_after=None, waited=None, seconds=None, state="upstream_failed"),
        ],
        "timing": Timing(
            to_cluster=12.0,
            provisioning=0.5,
            to_first_step=16.5,
            steps=[
                StepTime(
                    name="featurize",
                    state="COMPLETED",
                    started_after=40.0,
                    queued=0.125,
                    seconds=30.5,
                    noticed_after=2.5,
                )
            ],
            after_last_step=3.0,
            idle=0.42,
        ),
    }


def shown(report: Any) -> dict[str, str]:
    """The table's rows by their first column."""
    text = io.StringIO()
    results.show(report, Console(file=text, width=120))
    cells = [line.strip("│ ").split("│") for line in text.getvalue().splitlines() if "│" in line]
    return {name.strip(): " ".join(words.split()) for name, words in cells}


def test_expected_cost_and_fleet_stand_beside_what_happened(report: Any) -> None:
    rows = shown(report)
    assert rows["cost"] == "worst case 1.20 EUR, expected 0.061, this run at most 0.012"
    assert rows["fleet"] == "1 m6g.xlarge (chosen), expected on EMR 11.5 minutes, was 1.2"
    assert rows["speed"] == "4 images/s, 2.0 a core, 2 model loads"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (256, "256 components keep 95.1%"),
        (None, "256 components keep 95.1%"),
        (0.95, "256 components, the fewest that keep 95%: they keep 95.1%"),
        (0.9505, "256 components, the fewest that keep 95.05%: they keep 95.1%"),
    ],
)
def test_a_share_that_was_asked_for_is_named(report: Any, asked: float | None, words: str) -> None:
    given = {} if asked is None else {"components": asked}
    kept = {"components": 256, "explained_variance": 0.9506, "parameters": given}
    assert shown({**report, **kept})["PCA"] == words


def test_the_time_is_told_task_by_task_and_step_by_step(report: Any) -> None:
    rows = shown(report)
    assert rows["plan"] == "at 0.5 s waited 0.2 s took 2.8 s success"
    assert rows["guards"] == "at - waited - took - upstream_failed"
    assert rows["step featurize"] == "30.5 s queued 0.1 s noticed after 2.5 s"
    assert rows["to the first step"] == "16.5 s"
    assert rows["cores without a task"] == "42% of the steps' time"


def test_a_run_that_was_refused_has_a_table_too(report: Any) -> None:
    nothing: Any = Timing(
        to_cluster=None, provisioning=None, to_first_step=None, steps=[], after_last_step=None, idle=None
    )
    refused = {**report, "sizing": None, "images_per_second": None, "timing": nothing}
    refused["cost"] = {"estimate": None, "expected": None, "actual": None, "currency": "EUR"}
    rows = shown(refused)
    assert not {"fleet", "cost", "speed"} & rows.keys()
    assert rows["to the first step"] == "-"


def test_what_was_new_stands_beside_the_result(report: Any) -> None:
    rows = shown(report)
    assert rows["photos"] == "60 found, 50 new, 5 changed, 2 deleted, 5 reused"
    assert rows["result"] == "59 processed, 1 rejected"
    assert results.problems(report) == []


def test_a_run_that_found_nothing_new_says_so_and_has_no_cluster(report: Any) -> None:
    idle = {
        **report,
        "nothing_new": True,
        "cluster": {"id": None, "release": None, "final_state": None},
    }
    idle["images"] = {**report["images"], "processed": 0, "rejected": 0}
    rows = shown(idle)
    assert rows["nothing is new"] == "no cluster was created; the current result stays"
    assert "cluster" not in rows
    assert results.problems(idle) == []


def test_where_nothing_was_new_the_current_result_is_fetched(s3: Any, tmp_path: Path) -> None:
    before, now = RunLayout(BUCKET, "a"), RunLayout(BUCKET, "b")
    older = RunLayout(BUCKET, "older").classifier
    model = f"{before.pca_model}data/part-0.parquet"
    result = (before.variance_plot, f"{before.pca_output}part-0.parquet", before.report, model)
    for key in (*result, f"{older}classifier.json", f"{older}pipeline/stages/part-0"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"a")
    publish(s3, "a", None)
    report = {"state": "success", "nothing_new": True, "classifier_run": "older"}
    write_json(s3, BUCKET, now.report, report)

    assert results.fetch(s3, now, tmp_path) == report

    folder = tmp_path / "latest"
    latest = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert latest >= {"report.json", "variance.png", "pca_output/part-0.parquet"}
    assert "pca_model/data/part-0.parquet" in latest
    assert latest >= {"classifier/classifier.json", "classifier/pipeline/stages/part-0"}


def test_a_failed_run_leaves_the_result_that_is_current(s3: Any, tmp_path: Path) -> None:
    now = RunLayout(BUCKET, "red")
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "report.json").write_text("the former")
    write_json(s3, BUCKET, now.report, {"state": "failed", "nothing_new": False})

    found = results.fetch(s3, now, tmp_path)

    assert found is not None
    assert results.folder_of(found) == "failed"
    assert (tmp_path / "failed" / "report.json").exists()
    assert (tmp_path / "latest" / "report.json").read_text() == "the former"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "linear, 93.5% of labels right by session"),
        ({"skipped": "There is 1 label."}, "none: There is 1 label."),
        ({"judged": None, "by_hash": None}, "linear, not judged"),
        (
            {"judged": None, "by_hash": {"top1": 0.839, "split": "hash"}},
            "linear, 83.9% of labels right by hash (optimistic)",
        ),
        (
            {"gate": {"passed": False, "reason": "It is worse."}},
            "linear, 93.5% of labels right by session; it does not become the current one: It is worse.",
        ),
    ],
)
def test_one_line_says_how_good_the_classifier_is_or_why_there_is_none(
    report: Any, changes: dict[str, Any], words: str
) -> None:
    trained = {
        "skipped": None,
        "kind": "linear",
        "judged": {"split": "session", "top1": 0.9349},
        "gate": {"passed": True, "reason": "It is the first."},
    }
    assert shown({**report, "classifier": {**trained, **changes}})["classifier"] == words
