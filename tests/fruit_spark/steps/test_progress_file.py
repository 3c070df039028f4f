"""Promise: a step says how far it is, up to all of it, and nothing about that can fail or hold it."""

import dataclasses
import json
import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fruit_contract.progress import Progress
from fruit_spark.steps import featurize_job, progress_file
from fruit_spark.steps.featurize_job import FeaturizeSettings, featurize
from fruit_spark.steps.progress_file import told
from fruit_spark.storage.s3 import store_for
from tests.fruit_spark import photo_files
from tests.fruit_spark.steps.test_featurize_step import local_work_list
from tests.fruit_spark.steps.test_featurize_step import settings as settings
from tests.fruit_spark.storage.test_s3 import create_bucket

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUCKET = "fruits-progress"


class Lines(list[Progress]):
    """What was written, in order."""

    def put(self, uri: str, content: bytes) -> None:
        self.append(read(content))


def read(content: bytes) -> Progress:
    said = json.loads(content)
    times = {name: datetime.fromisoformat(said.pop(name)) for name in ("started", "now")}
    return Progress(**said, **times)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr(progress_file, "put_bytes", lines.put)
    return lines


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Eleven good ones and one that is none."""
    files = [tmp_path / "photos" / "Kiwi" / f"{number}.jpg" for number in range(12)]
    files[0].parent.mkdir(parents=True)
    for number, file in enumerate(files):
        file.write_bytes(photo_files.jpeg(number, "Kiwi") if number else b"no photo")
    return files


@pytest.mark.parametrize("reader", ["fast", "spark-image"])
def test_a_step_begins_at_none_and_ends_at_all_photos(
    spark: "SparkSession",
    settings: FeaturizeSettings,
    photos: list[Path],
    tmp_path: Path,
    written: Lines,
    reader: str,
) -> None:
    work_list = local_work_list(tmp_path, photos)
    featurize(spark, dataclasses.replace(settings, work_list=work_list, progress="here", reader=reader))
    assert (written[0].done, written[0].of, written[0].reused) == (0, 12, 0)
    assert (written[-1].done, written[-1].of) == (12, 12)
    assert written == sorted(written, key=lambda line: (line.done, line.now))


def test_photos_count_when_their_task_ends(
    spark: "SparkSession",
    settings: FeaturizeSettings,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The accumulator itself, not what the step adds when all is written."""
    counted = []

    def writing(*arguments: object) -> None:
        featurize_job_write(*arguments)
        counted.append(arguments[-1].value)  # type: ignore[attr-defined]

    featurize_job_write = featurize_job._write_features
    monkeypatch.setattr(featurize_job, "_write_features", writing)
    featurize(spark, dataclasses.replace(settings, work_list=local_work_list(tmp_path, photos), partitions=5))
    assert counted == [12]


def test_what_an_earlier_attempt_has_done_counts_and_is_no_speed(
    spark: "SparkSession", settings: FeaturizeSettings, photos: list[Path], tmp_path: Path, written: Lines
) -> None:
    again = dataclasses.replace(settings, work_list=local_work_list(tmp_path, photos), progress="here")
    featurize(spark, dataclasses.replace(again, progress=None))
    assert written == []
    featurize(spark, again)
    assert [(line.done, line.reused, line.a_second) for line in written] == [(12, 12, None)]


def test_the_file_lies_on_s3_whole_and_is_written_over(
    spark: "SparkSession",
    settings: FeaturizeSettings,
    photos: list[Path],
    tmp_path: Path,
    s3_endpoint: str,
) -> None:
    import obstore

    create_bucket(s3_endpoint, BUCKET)
    address = f"s3://{BUCKET}/Results/work_list/run=a/progress.json"
    featurize(
        spark, dataclasses.replace(settings, work_list=local_work_list(tmp_path, photos), progress=address)
    )
    found = read(bytes(obstore.get(store_for(BUCKET), "Results/work_list/run=a/progress.json").bytes()))
    assert (found.done, found.of) == (12, 12)


def test_the_file_lies_on_a_disk_too(tmp_path: Path) -> None:
    address = tmp_path / "deep" / "progress.json"
    with told(f"file://{address}", lambda: 3, 3):
        pass
    assert read(address.read_bytes()).done == 3
    assert [path.name for path in address.parent.iterdir()] == ["progress.json"]


def test_a_store_that_refuses_fails_no_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with told(str(tmp_path / "file" / "progress.json"), lambda: 0, 3):
        pass
    assert "The progress could not be written to" in capsys.readouterr().out


def test_a_count_that_cannot_be_fails_no_step(written: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    with told("here", lambda: 4, 3):
        pass
    assert written == []
    assert "is not how far a step can be" in capsys.readouterr().out


def test_a_failure_of_the_step_stays_its_own(written: Lines) -> None:
    with pytest.raises(KeyError), told("here", lambda: 0, 3):
        raise KeyError("mine")
    assert written[-1].done == 0


def test_a_store_that_hangs_holds_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no process: only threads that are no daemons keep one alive."""
    let_go, hanging = threading.Event(), threading.Event()

    def put_for_ever(uri: str, content: bytes) -> None:
        hanging.set()
        let_go.wait()

    monkeypatch.setattr(progress_file, "put_bytes", put_for_ever)
    monkeypatch.setattr(progress_file, "LAST_WORD_SECONDS", 0.01)
    with told("here", lambda: 0, 3):
        assert hanging.wait(60)
    [teller] = [thread for thread in threading.enumerate() if thread.name == "progress"]
    assert teller.daemon
    let_go.set()
    teller.join()
