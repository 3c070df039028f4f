"""The notebook shows the figures of the run's own report, and says in a sentence what is not there."""

import json
import shutil
from collections import Counter
from pathlib import Path

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.client import BaseClient

from fruit_contract.layout import RUN_INDEX_KEY
from tests.notebooks.conftest import BUCKET, COMPONENTS, PHOTOS, Execute, Executed, Run


def check_figures(executed: Executed, run: Run) -> None:
    """Against ``report.json``, which the pipeline wrote, and ``train.json`` in it."""
    report = run.report
    assert executed.refusal is None
    opened = " ".join(executed.said("opened").split())
    judged = report["classifier"]["judged"]
    assert f"run {report['run_id']} " in opened
    assert f"rows {report['images']['processed']} components {report['components']} rejected 1 " in opened
    assert f"explained variance {round(report['explained_variance'], 6)} " in opened
    assert opened.endswith(f"top-1 of the classifier {judged['top1']}")
    assert executed.said("shape").split()[-5:] == ["64", "16", "8", "8", "0"]
    assert executed.said("variance").startswith(f"8 components keep {report['explained_variance']:.4f}.")
    for tag in ("variance", "map", "map-3", "distributions", "pictures", "time"):
        assert executed.pictures(tag) == 1, tag
    assert executed.said("labels").count(" 4\n") + 1 == 16
    nearest = executed.said("nearest")
    assert nearest.splitlines()[1].split()[1] == "1.000000", "a photo is nearest to itself"
    assert nearest.count(".jpg") == 6
    assert f"top1 {judged['top1']}" in " ".join(executed.said("judgement").split())
    for confusion in report["classifier"]["confusions"]:
        row = f"{confusion['label']} {confusion['predicted']} {confusion['photos']}"
        assert row in " ".join(executed.said("confusions").split())
    assert "corrupt" in executed.said("rejected")
    assert report["run_id"] in executed.said("runs")
    [spot] = [group for group in report["cost"]["groups"] if group["group"] == "EC2 Spot"]
    assert f"{spot['actual']:.6f}" in executed.said("cost")


def test_a_folder_is_explored(run: Run, execute: Execute) -> None:
    assert (run.report["images"]["processed"], run.report["components"]) == (PHOTOS, COMPONENTS)
    check_figures(execute(str(run.latest), str(run.photos)), run)


def test_a_bucket_is_explored_with_its_own_photos(run: Run, execute: Execute, aws: dict[str, str]) -> None:
    check_figures(execute(f"s3://{BUCKET}", **aws), run)


@pytest.fixture
def copy(run: Run, tmp_path: Path) -> Path:
    return shutil.copytree(run.latest, tmp_path / "latest")


def test_what_is_not_there_is_said_in_its_cell(copy: Path, execute: Execute) -> None:
    """No classifier, no photos beside the result, one component, none rejected, and no bill."""
    report = json.loads((copy / "report.json").read_text())
    report |= {"classifier": None, "classifier_run": None, "cost": {**report["cost"], "groups": []}}
    (copy / "report.json").write_text(json.dumps(report))
    (copy / "train.json").unlink()
    [rows] = copy.joinpath("pca_output").glob("*.parquet")
    table = pq.read_table(rows)
    one = pa.array(
        [features[:1] for features in table.column("features").to_pylist()], pa.list_(pa.float32())
    )
    pq.write_table(table.set_column(2, "features", one), rows)
    for file in copy.joinpath("rejected").glob("*.parquet"):
        pq.write_table(pq.read_table(file).slice(0, 0), file)
    executed = execute(str(copy), "nowhere/*")
    assert executed.refusal is None
    assert executed.said("opened").endswith(" not judged")
    none = f"{copy} has no classifier: start a run without classifier=none.\n"
    assert (executed.said("judgement"), executed.said("confusions")) == (none, none)
    assert executed.said("pictures") == (
        "None of these photos is in 'nowhere/*': name the folder that has them, one sub-folder per label.\n"
    )
    assert executed.said("map") == "The result has one component: a map needs two.\n"
    assert executed.said("map-3") == "The result has 1 of the three components that this map needs.\n"
    assert executed.said("rejected") == "No photo was rejected.\n"
    assert executed.said("cost") == "The report has no bill by group.\n"


def test_photos_are_found_by_a_pattern_and_in_a_folder_with_a_bracket(
    run: Run, tmp_path: Path, execute: Execute
) -> None:
    odd = tmp_path / "my [photos]"
    odd.symlink_to(run.photos)
    for pattern in (str(odd), str(run.place / "ph*")):
        assert execute(str(run.latest), pattern).pictures("pictures") == 1


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            "out/never",
            "out/never holds no result, out/never/pca_output has no Parquet file: run `make run`, or ",
        ),
        ("ftp://fruits", "'ftp://fruits' is not an S3 address: write it as s3://bucket/key."),
        ("s3://fruits/Results", "s3://fruits/Results is more than a bucket: name s3://fruits, whose result"),
        (
            "s3://fruits",
            "s3://fruits cannot be read (Unable to locate credentials): sign in to AWS, or start",
        ),
    ],
)
def test_where_no_result_is_one_sentence_says_what_to_do(
    address: str, sentence: str, execute: Execute
) -> None:
    check_refused(execute(address), sentence)


def check_refused(executed: Executed, sentence: str) -> None:
    """The cell that opens the result says so, without a traceback, and no cell after it is run."""
    assert executed.refusal is not None
    assert executed.refusal.startswith(f"ExploringError: {sentence}")
    assert "\n" not in executed.refusal
    assert executed.said("schema") == ""


@pytest.fixture
def s3(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> BaseClient:
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    return boto3.client("s3")


def test_a_bucket_without_an_index_of_runs_shows_none(s3: BaseClient, execute: Execute) -> None:
    index = {"Bucket": BUCKET, "Key": RUN_INDEX_KEY}
    lines = s3.get_object(**index)["Body"].read()
    s3.delete_object(**index)
    try:
        executed = execute(f"s3://{BUCKET}")
    finally:
        s3.put_object(**index, Body=lines)
    assert executed.refusal is None
    assert executed.said("runs").startswith("Empty DataFrame")


def test_a_bucket_without_a_result_and_one_that_is_not_there_are_told_apart(
    s3: BaseClient, execute: Execute
) -> None:
    s3.create_bucket(Bucket="fruits-empty", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    check_refused(execute("s3://fruits-empty"), "s3://fruits-empty has no result, Results/latest.json is not")
    check_refused(execute("s3://fruits-nowhere"), "Bucket 'fruits-nowhere' cannot be used (NoSuchBucket when")


@pytest.mark.parametrize(
    ("damaged", "sentence"),
    [
        ("report.json", "cannot be read (Expecting value"),
        ("pca_output/*.parquet", "cannot be read ("),
        ("pca_model/data/*.parquet", "cannot be read ("),
    ],
)
def test_a_damaged_result_is_one_sentence(damaged: str, sentence: str, copy: Path, execute: Execute) -> None:
    [file] = copy.glob(damaged)
    file.write_bytes(b"no such thing")
    check_refused(execute(str(copy)), f"{copy} {sentence}")


def test_without_its_report_a_result_is_not_opened(copy: Path, execute: Execute) -> None:
    (copy / "report.json").unlink()
    check_refused(execute(str(copy)), f"{copy} has no report.json: start a run, whose last task writes it.")


def test_the_judgement_of_another_classifier_is_not_shown(copy: Path, execute: Execute) -> None:
    """Where the run's own did not pass its gate, an older one is current."""
    train = json.loads((copy / "train.json").read_text())
    gate = {"passed": False, "reason": "It is worse.", "current_top1": 0.9}
    (copy / "train.json").write_text(json.dumps({**train, "gate": gate}))
    report = json.loads((copy / "report.json").read_text())
    (copy / "report.json").write_text(json.dumps({**report, "classifier_run": "older"}))
    assert execute(str(copy)).said("judgement") == (
        "The run older trained the current classifier, and its reports lie in its bucket alone.\n"
    )


def test_each_cell_of_code_has_a_sentence_before_it(run: Run, execute: Execute) -> None:
    cells = execute(str(run.latest)).notebook.cells
    kinds = Counter(cell.cell_type for cell in cells)
    assert kinds["code"] == kinds["markdown"] > 15
    for text, code in zip(cells[::2], cells[1::2], strict=True):
        assert (text.cell_type, code.cell_type) == ("markdown", "code")
        assert text.source.rstrip().endswith("."), text.source
