"""`make run`'s own promises: results in out/latest, nothing left running, Ctrl-C ends everything."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.e2e.conftest import processes_of

COMMAND = [sys.executable, "-m", "local_run"]


OUR_REASONS = ("unsupported", "ambiguous colours")
"""Of whole files that Pillow opens. Of a file that was damaged on purpose, it may also show what is left."""
DAMAGED = ("damaged/", "refused/")


def name_of(path: str) -> str:
    """A photo's label and file name."""
    return "/".join(path.split("/")[-2:])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the state and the results of the commands are; no process that knows of it outlives them."""
    place = tmp_path_factory.mktemp("make-run")
    subprocess.run([*COMMAND, "migrate", "--state-dir", str(place / "state")], cwd=REPOSITORY, check=True)
    yield place
    assert processes_of(str(place)) == []


def start(place: Path, *arguments: str, images: tuple[str, ...] = ("--count", "24")) -> subprocess.Popen[str]:
    places = ["--state-dir", str(place / "state"), "--out-dir", str(place / "out")]
    words = " ".join(["components=4", "minimum_variance=0.1", "image_size=96", *arguments])
    return subprocess.Popen(
        [*COMMAND, "run", *places, *images, "--args", words],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_run_leaves_its_results_and_nothing_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever account the shell is set up for."""
    monkeypatch.setenv("AWS_PROFILE", "not-here")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    process = start(place)
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert processes_of(str(place)) == []
    latest = place / "out" / "latest"
    assert {"report.json", "variance.png", "pca_output"} <= {path.name for path in latest.iterdir()}
    assert (latest / "variance.png").read_bytes().startswith(b"\x89PNG")
    assert "components keep" in (latest / "report.html").read_text()
    assert pq.read_table(latest / "pca_output").num_rows == 24


@pytest.mark.rare
def test_of_a_folder_of_odd_files_those_are_rejected_that_pillow_does_not_open(
    place: Path, tmp_path: Path
) -> None:
    """And of those that Pillow opens the damaged ones, and what the reason says is not supported."""
    odd = tmp_path / "odd"
    made = subprocess.run(
        [REPOSITORY / ".venv" / "spark" / "bin" / "python", "-m", "tests.fruit_spark.odd_folder", odd],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    by_pillow: dict[str, bool] = json.loads(made.stdout)
    process = start(place, images=("--images", str(odd)))
    output, _ = process.communicate()
    assert process.returncode == 0, output
    latest = place / "out" / "latest"
    shown = {name_of(path) for path in pq.read_table(latest / "pca_output").column("path").to_pylist()}
    rejected = {name_of(row["path"]): row["reason"] for row in pq.read_table(latest / "rejected").to_pylist()}
    assert shown.isdisjoint(rejected)
    assert shown | rejected.keys() == by_pillow.keys(), "none is lost, none is new"
    assert [name for name in shown if not by_pillow[name]] == []
    ours = {name: reason for name, reason in rejected.items() if by_pillow[name]}
    whole = {name: reason for name, reason in ours.items() if not name.startswith(DAMAGED)}
    assert {name: reason for name, reason in whole.items() if not reason.startswith(OUR_REASONS)} == {}


def test_ctrl_c_ends_everything_cluster_first(place: Path) -> None:
    process = start(place, "full_refresh=true")
    assert process.stdout is not None
    shown = []
    for line in process.stdout:
        shown.append(line)
        if "wait_for_featurize" in line:
            process.send_signal(signal.SIGINT)
            break
    rest, _ = process.communicate()
    assert process.returncode == 130, "".join(shown) + rest
    assert "1 cluster terminated" in rest
    assert processes_of(str(place)) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--images", "nowhere"], "The folder 'nowhere' does not exist"),
        (["--args", "components=0"], "Parameter components is '0'"),
        (["--args", "colour=red"], "Parameter 'colour' is unknown"),
        (["--count", "0"], "COUNT is 0: ask for at least 1 photo"),
        (["--port", "70000"], "Port 70000 does not exist"),
    ],
)
def test_bad_input_is_refused_before_any_work(options: list[str], sentence: str, tmp_path: Path) -> None:
    command = [*COMMAND, "run", "--state-dir", str(tmp_path / "state"), *options]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in " ".join(done.stdout.split())
    assert not (tmp_path / "state").exists()
