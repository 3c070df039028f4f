"""Promise: a step that was killed goes on where it stopped; no row is lost, none stands twice."""

import dataclasses
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import obstore
import pyarrow.parquet as pq
import pytest

from fruit_spark.steps.featurize_job import FeaturizeSettings, featurize
from fruit_spark.storage.s3 import store_for
from tests.fruit_spark import photo_files
from tests.fruit_spark.conftest import ROOT
from tests.fruit_spark.steps.test_featurize_step import local_work_list, rows_of, write_work_list
from tests.fruit_spark.steps.test_featurize_step import settings as settings
from tests.fruit_spark.storage.test_s3 import create_bucket

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TASKS = 10
IMAGES = 40
# Another size than the other tests take: they count the model's loads in the same Python workers.
SIZE = 128
BUCKET = "s3://fruits-attempts/"


def make_photos(folder: Path) -> list[Path]:
    folder.mkdir()
    files = [folder / f"{number}.jpg" for number in range(IMAGES)]
    for number, file in enumerate(files):
        file.write_bytes(photo_files.jpeg(number))
    return files


def parts(settings: FeaturizeSettings) -> dict[Path, int]:
    """The finished files of the features, and when each was written."""
    return {file: file.stat().st_mtime_ns for file in Path(settings.features).glob("part-*.parquet")}


def start_step(settings: FeaturizeSettings, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    options = {
        f"--{name.replace('_', '-')}": value
        for name, value in dataclasses.asdict(settings).items()
        if value is not None and value is not False  # a flag that is not set
    }
    command = [sys.executable, str(ROOT / "spark" / "featurize.py")]
    command += [str(word) for pair in options.items() for word in pair]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill_when_most_is_done(step: "subprocess.Popen[bytes]", settings: FeaturizeSettings) -> None:
    """SIGKILL for the driver, its JVM and the workers once 80 % of the files are there."""
    try:
        for _ in range(2400):
            if len(parts(settings)) >= 0.8 * TASKS:
                return
            try:
                step.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            pytest.fail(f"the step ended with {step.returncode} before it was killed", pytrace=False)
        pytest.fail(f"only {len(parts(settings))} of {TASKS} files after two minutes", pytrace=False)
    finally:
        while live := session_of(step.pid):
            for process in live:
                kill(process)
        step.wait(timeout=20)


def session_of(leader: int) -> list[int]:
    """The live processes of a session: workers have a group of their own, and may outlive the JVM a while."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = status.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if int(session) == leader and state != "Z":
            found.append(int(status.parent.name))
    return found


def kill(process: int) -> None:
    """SIGKILL, and wait until it is gone."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        ended, _, _ = select.select([handle], [], [], 20)
        assert ended, f"process {process} did not end"
    finally:
        os.close(handle)


def test_a_step_killed_at_80_percent_and_repeated_computes_only_the_unfinished_files(
    spark: "SparkSession",
    spark_environment: dict[str, str],
    s3_endpoint: str,
    settings: FeaturizeSettings,
    tmp_path: Path,
) -> None:
    files = make_photos(tmp_path / "Apple")
    uris = [str(file) for file in files]
    uris[7] = f"{BUCKET}Apple/7.jpg"
    create_bucket(s3_endpoint, "fruits-attempts")
    obstore.put(store_for("fruits-attempts"), "Apple/7.jpg", files[7].read_bytes())
    rows = [
        (uri.removeprefix(BUCKET), uri, "", file.stat().st_size)
        for uri, file in zip(uris, files, strict=True)
    ]
    work_list = write_work_list(tmp_path / "images.parquet", rows)
    settings = dataclasses.replace(settings, work_list=work_list, partitions=TASKS, image_size=SIZE)

    # An S3 that never answers has one photo: its task waits for it, and so cannot finish before the kill.
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        step = start_step(settings, spark_environment | {"AWS_ENDPOINT_URL": endpoint})
        kill_when_most_is_done(step, settings)

    finished = parts(settings)
    kept = sum(pq.read_metadata(file).num_rows for file in finished)
    assert 0.8 * IMAGES <= kept < IMAGES
    metrics = featurize(spark, settings)

    assert (metrics["found"], metrics["processed"], metrics["reused"]) == (IMAGES, IMAGES, kept)
    assert set(rows_of(settings)) == set(uris)
    after = parts(settings)
    assert finished.items() <= after.items()
    assert sum(pq.read_metadata(file).num_rows for file in after.keys() - finished.keys()) == IMAGES - kept
    assert not list(Path(settings.features).glob("_temporary"))

    # Repeated once more, nothing is left to do.
    assert featurize(spark, settings)["reused"] == IMAGES
    assert parts(settings) == after


def test_other_work_at_the_same_address_begins_anew(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path
) -> None:
    files = make_photos(tmp_path / "Apple")
    settings = dataclasses.replace(settings, image_size=SIZE)
    settings = dataclasses.replace(settings, work_list=local_work_list(tmp_path, files[:20]))
    featurize(spark, settings)
    small = rows_of(settings)

    larger = dataclasses.replace(settings, image_size=160)
    assert featurize(spark, larger)["reused"] == 0
    assert rows_of(settings) != small

    rows = [(str(file), str(file), "", file.stat().st_size) for file in files[10:30]]
    write_work_list(tmp_path / "images.parquet", rows)
    assert featurize(spark, settings)["reused"] == 0
    assert set(rows_of(settings)) == set(map(str, files[10:30]))
