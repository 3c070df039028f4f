"""Find what a photo is classified with: the classifier of a result, and the model of its features."""

import hashlib
import json
from pathlib import Path
from typing import Any

from fruit_contract.classifier import CARD_NAME, LAYERS_NAME, TrainMetrics
from fruit_contract.layout import LATEST_KEY, TRAIN_METRICS_NAME, split_uri
from fruit_contract.model_files import model_file
from fruit_contract.report_schema import ModelFacts
from fruit_spark.predict.classifier import Classifier, read_card, read_layers, whole
from fruit_spark.step_errors import StepError
from fruit_spark.storage.get import get_bytes
from fruit_spark.storage.s3 import is_s3

_TRAIN = "start a run with classifier=linear, or name another result"


def read_classifier(result: str) -> Classifier:
    """The classifier of a result: a folder with ``classifier/``, one itself, or ``s3://bucket``.

    Of a bucket it is the current one. ``StepError`` where there is none that NumPy can apply.
    """
    folder = _folder(result)
    stored = get_bytes(f"{folder}/{CARD_NAME}")
    if stored is None:
        raise StepError(
            _why_none(folder) or f"{result} has no classifier, {folder}/{CARD_NAME} is not there: {_TRAIN}."
        )
    card = read_card(stored, f"{folder}/{CARD_NAME}")
    if card["kind"] == "forest":
        raise StepError(f"The classifier of {result} is a forest, which only Spark reads: {_TRAIN}.")
    address = f"{folder}/{LAYERS_NAME}"
    layers = get_bytes(address)
    if layers is None:
        raise StepError(f"The classifier of {result} is not whole, {address} is not there: fetch it again.")
    return Classifier(card, read_layers(layers, card, address))


def _why_none(reports: str) -> str | None:
    """Why a run has left no classifier, by its metrics; None where they are not there."""
    address = f"{reports}/{TRAIN_METRICS_NAME}"
    said = get_bytes(address)
    if said is None:
        return None
    with whole(address):
        metrics: TrainMetrics = json.loads(said)
        gate = metrics["gate"]
        reason = metrics["skipped"] or (gate["reason"] if gate and not gate["passed"] else None)
    return f"This result has no classifier. {reason}" if reason else None


def _folder(result: str) -> str:
    """The folder of a result's classifier, as an address without a slash at its end."""
    address = result.rstrip("/")
    if not is_s3(result):
        inside = Path(address, "classifier")
        try:
            return str(inside) if inside.is_dir() and not Path(address, CARD_NAME).exists() else address
        except OSError as problem:
            raise StepError(f"{result} could not be read ({problem.strerror}): name another.") from problem
    try:
        bucket, key = split_uri(result)
    except ValueError as problem:
        raise StepError(str(problem)) from problem
    return address if key else _current(bucket)


def _current(bucket: str) -> str:
    pointer = read_pointer(bucket)
    classifier = pointer.get("classifier")
    if not classifier:
        why = _why_none(str(pointer.get("report")).rpartition("/")[0])
        raise StepError(why or f"The current result of s3://{bucket} has no classifier: {_TRAIN}.")
    return str(classifier).rstrip("/")


def read_pointer(bucket: str) -> dict[str, Any]:
    """The pointer to the current result of a bucket; ``StepError`` where there is none."""
    pointer = f"s3://{bucket}/{LATEST_KEY}"
    stored = get_bytes(pointer)
    if stored is None:
        raise StepError(f"s3://{bucket} has no result, {LATEST_KEY} is not there: start a run.")
    try:
        return dict(json.loads(stored).items())
    except (ValueError, AttributeError) as problem:
        raise StepError(f"{pointer} is no pointer to a result: name a folder instead.") from problem


def read_model(address: Path, facts: ModelFacts) -> bytes:
    """The model that the features of a result are of: a .tflite, or the one in the artifact's folder.

    ``StepError`` where there is none, or where it is another.
    """
    if facts["engine"] != "litert":
        raise StepError(
            f"The features are of the engine {facts['engine']}, and here litert computes them: "
            "start a run with engine=litert."
        )
    file = address
    try:
        if address.is_dir():
            file = address / model_file(facts["engine"], facts["precision"])
        content = file.read_bytes()
    except ValueError as problem:
        raise StepError(str(problem)) from problem
    except OSError as problem:
        raise StepError(
            f"The model {file} could not be read ({problem.strerror}): build it with `make setup`."
        ) from problem
    found = hashlib.sha256(content).hexdigest()
    if found != facts["fingerprint"]:
        raise StepError(
            f"The model {file} has the SHA-256 {found[:12]}, and the features are of "
            f"{facts['fingerprint'][:12]} ({facts['name']}, {facts['weights']}): name that file with --model."
        )
    return content
