"""`make run`'s own promises: results in out/latest, nothing left running, Ctrl-C ends everything."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.e2e.conftest import processes_of


@pytest.fixture
def command(tmp_path: Path) -> Iterator[list[str]]:
    state = tmp_path / "state"
    base = [sys.executable, "-m", "local_run"]
    subprocess.run(
        [*base, "migrate", "--state-dir", str(state)], cwd=REPOSITORY, env=_environment(), check=True
    )
    args = "components=4 minimum_variance=0.1 image_size=96"
    places = ["--state-dir", str(state), "--out-dir", str(tmp_path / "out")]
    yield [*base, "run", *places, "--count", "24", "--args", args]
    assert processes_of(str(state)) == []


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"}


def test_a_run_leaves_its_results_and_nothing_else(command: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    latest = tmp_path / "out" / "latest"
    assert {"report.json", "variance.png", "pca_output"} <= {path.name for path in latest.iterdir()}
    assert (latest / "variance.png").read_bytes().startswith(b"\x89PNG")
    assert pq.read_table(latest / "pca_output").num_rows == 24


def test_ctrl_c_ends_everything_cluster_first(command: list[str]) -> None:
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
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
    command = [sys.executable, "-m", "local_run", "run", "--state-dir", str(tmp_path / "state"), *options]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert sentence in " ".join(done.stdout.split())
    assert not (tmp_path / "state").exists()
