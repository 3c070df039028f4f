"""The result of one real `make run`, in its folder and in its bucket, and notebooks executed on it."""

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.conftest import REPOSITORY

AIRFLOW_PYTHON = REPOSITORY / ".venv" / "airflow" / "bin" / "python"
SPARK_PYTHON = REPOSITORY / ".venv" / "spark" / "bin" / "python"
BUCKET = "fruits-classification-p9-local-eu-west-1"
PHOTOS, COMPONENTS = 64, 8
"""Of each of the 16 labels two photos of each film: a classifier can be judged."""
Execute = Callable[..., "Executed"]


@dataclass(frozen=True)
class Run:
    """A run of the pipeline, as it was left."""

    place: Path

    @property
    def latest(self) -> Path:
        return self.place / "out" / "latest"

    @property
    def photos(self) -> Path:
        return self.place / "photos"

    @property
    def report(self) -> Any:
        return json.loads((self.latest / "report.json").read_text())


@dataclass(frozen=True)
class Executed:
    """A notebook after its last cell, or after the one that failed."""

    notebook: Any

    def said(self, tag: str) -> str:
        """What the cell of that tag shows as text, its pictures left out."""
        return "".join(
            output.get("text") or output.data["text/plain"]
            for output in self._outputs(tag)
            if "image/png" not in output.get("data", {})
        )

    def pictures(self, tag: str) -> int:
        return sum("image/png" in output.get("data", {}) for output in self._outputs(tag))

    def _outputs(self, tag: str) -> list[Any]:
        [cell] = [each for each in self.notebook.cells if tag in each.metadata.get("tags", [])]
        return list(cell.outputs)

    @property
    def refusal(self) -> str | None:
        """What the cell that failed shows in place of its output; None where none did."""
        outputs = (output for cell in self.notebook.cells for output in cell.get("outputs", []))
        failed = ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]
        return failed[0] if failed else None


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of generated photos, one of which is broken."""
    made = Run(tmp_path_factory.mktemp("explored"))
    generate = f"""
from pathlib import Path
from local_run import generated_photos
generated_photos.generate(Path({str(made.place)!r}), {PHOTOS}).rename({str(made.photos)!r})
"""
    subprocess.run([AIRFLOW_PYTHON, "-c", generate], cwd=REPOSITORY, check=True)
    made.photos.joinpath("Kiwi", "broken.jpg").write_bytes(b"\xff\xd8\xff" + b"no photo" * 40)
    state = f"--state-dir={made.place / 'state'}"
    local_run = [AIRFLOW_PYTHON, "-m", "local_run"]
    subprocess.run([*local_run, "migrate", state], cwd=REPOSITORY, check=True)
    parameters = f"--args=components={COMPONENTS} minimum_variance=0.1 image_size=96"
    options = [f"--out-dir={made.place / 'out'}", f"--images={made.photos}", parameters]
    done = subprocess.run(
        [*local_run, "run", state, *options], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return made


@pytest.fixture(scope="session")
def aws(run: Run) -> Iterator[dict[str, str]]:
    """Local AWS with what the run has left in it: the environment of its clients."""
    exports = run.place / "state" / "aws.env"
    command = [AIRFLOW_PYTHON, "-m", "local_aws", f"--state-dir={run.place / 'state' / 'aws'}"]
    with subprocess.Popen(
        [*command, f"--spark-python={SPARK_PYTHON}"],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("# The AWS CLI"):
                break
        # As `make up` leaves them.
        exports.write_text("".join(line for line in said if line.startswith("export ")))
        words = [shlex.split(line)[1] for line in exports.read_text().splitlines()]
        yield dict(word.split("=", 1) for word in words)
        exports.unlink()
        process.terminate()


@pytest.fixture
def execute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Execute]:
    """Executes ``notebooks/explore.ipynb`` with other lines at its top, and leaves the home folder empty."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    # Nor is an account asked for that is none.
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("MPLCONFIGDIR", str(REPOSITORY / ".cache" / "matplotlib"))

    def execute(address: str, photos: str = "", **environment: str) -> Executed:
        notebook = nbformat.read(REPOSITORY / "notebooks" / "explore.ipynb", as_version=4)
        [top] = [cell for cell in notebook.cells if cell.source.startswith("RESULT = ")]
        top.source = f"RESULT = {address!r}\nPHOTOS = {photos!r}"
        client = NotebookClient(notebook, kernel_name="python3", timeout=None)
        with suppress(CellExecutionError):
            client.execute(env={**os.environ, **environment})
        return Executed(notebook)

    yield execute
    assert list(home.iterdir()) == []
