"""A photo that somebody gives, and what a run's classifier says of it: asked of the Spark side's Python.

The command gets the classifier's files and the photo in a folder of its own, and of the API server's
environment the path alone: it needs no account, and reads a file that may be anything.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import fruit_contract
from fruit_contract.classifier import CARD_NAME, LAYERS_NAME
from fruit_contract.layout import RunLayout
from fruit_pipeline.pages.result_page import NotFoundError, PageError
from fruit_pipeline.security.redaction import redacted
from fruit_pipeline.settings.deployment import Deployment

MOST_BYTES: Final = 20 * 2**20
SETTING: Final = "FRUITS_PREDICT_PYTHON"
_SECONDS: Final = 60
"""The command loads Python, the model and a photo: some seconds on one core."""
_ANSWERED: Final = (0, 1)
"""The command's exit codes where it has looked at the photo: 1 is of a rejected one."""
_one_at_a_time: Final = threading.Lock()
"""In each process of the API server: it serves the tasks, too."""


@dataclass(frozen=True)
class Prediction:
    """What the command says of a photo. A rejected one has a reason alone."""

    label: str | None
    """None where it is in doubt, and ``reason`` says why."""
    probability: float | None
    """Of the best label, 0 to 1."""
    best: list[tuple[str, float]]
    """At most five labels with their probabilities, the best first."""
    residual: float | None
    reason: str | None
    milliseconds: float
    components: list[float]
    """[k], to find the nearest photos by; empty for a rejected photo."""


def predict(s3: Any, result: RunLayout, photo: bytes, deployment: Deployment) -> Prediction:
    """The answer to a photo; ``PageError`` where there is none, or another photo is being looked at."""
    if not deployment.predict_python:
        raise PageError(f"No Python is named that classifies photos: set {SETTING}.")
    if not photo:
        raise PageError("The form came without a photo: choose one.")
    if not _one_at_a_time.acquire(blocking=False):
        raise PageError("Another photo is being looked at: try again in some seconds.")
    try:
        with tempfile.TemporaryDirectory(prefix="photo-") as name:
            folder = Path(name)
            _fetch(s3, result, folder)
            folder.joinpath("photo").write_bytes(photo)
            return _answer(_run(folder, deployment))
    finally:
        _one_at_a_time.release()


def _fetch(s3: Any, result: RunLayout, folder: Path) -> None:
    """The classifier's card and its layers."""
    listed = s3.list_objects_v2(Bucket=result.bucket, Prefix=result.classifier).get("Contents", [])
    keys = {entry["Key"].removeprefix(result.classifier) for entry in listed} & {CARD_NAME, LAYERS_NAME}
    if CARD_NAME not in keys:
        raise NotFoundError("The run has left no classifier: start one with classifier=linear.")
    for name in keys:
        s3.download_file(result.bucket, f"{result.classifier}{name}", str(folder / name))


def _run(folder: Path, deployment: Deployment) -> str:
    """The command's one line."""
    command = [deployment.predict_python, "-m", "predict", str(folder / "photo"), "--json", "--components"]
    command += ["--result", str(folder), "--model", str(deployment.model_dir.absolute())]
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(deployment),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        raise PageError(
            f"{SETTING} {deployment.predict_python!r} cannot be started ({error.strerror}): name a Python."
        ) from error
    try:
        answer, complaint = process.communicate(timeout=_SECONDS)
    except subprocess.TimeoutExpired as late:
        # With the process in which it decodes.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise PageError(f"The photo took longer than {_SECONDS} s: try a smaller one.") from late
    if process.returncode not in _ANSWERED or not answer:
        last = (complaint.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        said = redacted(last.removeprefix("error: ").replace(str(folder), "the run")).rstrip(".")
        raise PageError(f"The photo was not looked at: {said}.")
    return answer


def _environment(deployment: Deployment) -> dict[str, str]:
    contract = Path(fruit_contract.__file__).parents[1]
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(map(str, (deployment.code_dir.absolute(), contract))),
        # The current folder holds a file of a stranger: nothing is imported from it.
        "PYTHONSAFEPATH": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _answer(line: str) -> Prediction:
    try:
        said = json.loads(line)
        return Prediction(
            label=said["label"],
            probability=said["probability"],
            best=[(str(label), float(share)) for label, share in said["best"]],
            residual=said["residual"],
            reason=said["reason"],
            milliseconds=float(said["milliseconds"]),
            components=said["components"] or [],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise PageError(
            f"The answer is of another version of this project ({error!r}): update the Python of {SETTING}."
        ) from error
