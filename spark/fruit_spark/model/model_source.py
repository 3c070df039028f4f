"""Find the model that ``--model`` names: the artifact's folder, or a single file."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from fruit_contract.model_files import FACTS_FILE, model_file
from fruit_spark.model.engines import weights_precision
from fruit_spark.model.model_broadcast import check_size
from fruit_spark.step_errors import StepError
from fruit_spark.storage import hadoop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SUFFIXES: Final = {"litert": (".tflite",), "keras": (".keras", ".h5")}


@dataclass(frozen=True)
class ModelSource:
    """A model file and what is known of it, in words for the report."""

    content: bytes
    name: str
    weights: str

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model file, hex."""
        return hashlib.sha256(self.content).hexdigest()


def read_model(spark: "SparkSession", uri: str, engine: str, precision: str) -> ModelSource:
    """Read the file for ``engine`` and ``precision``; its size is checked before a byte of it is read.

    ``StepError`` where there is no such file, or where its weights have another precision: what the
    report says of a run is then true.
    """
    facts: dict[str, str] = {}
    try:
        file_of_artifact = model_file(engine, precision)
    except ValueError as problem:
        raise StepError(str(problem)) from problem
    file = uri
    if hadoop.is_folder(spark, uri):
        folder = uri.rstrip("/")
        file = f"{folder}/{file_of_artifact}"
        if hadoop.exists(spark, f"{folder}/{FACTS_FILE}"):
            facts = json.loads(hadoop.read_bytes(spark, f"{folder}/{FACTS_FILE}"))
    suffix = PurePosixPath(file).suffix
    if suffix not in SUFFIXES[engine]:
        raise StepError(
            f"--model {uri} cannot be used with --engine {engine}: give a {' or '.join(SUFFIXES[engine])} "
            "file, or the folder of the model artifact."
        )
    if not hadoop.exists(spark, file):
        raise StepError(
            f"There is no model at {file}: build it with `python -m artifacts.model_artifact` and give its "
            "folder."
        )
    check_size(hadoop.size_of(spark, file), f"The model {file}")
    content = hadoop.read_bytes(spark, file)
    stored = weights_precision(content) if engine == "litert" else precision
    if stored != precision:
        raise StepError(
            f"The model {file} has {stored} weights, and --precision {precision} was asked: "
            f"use --precision {stored}, or another model."
        )
    name = PurePosixPath(file).name
    return ModelSource(
        content,
        str(facts.get("name", name)),
        str(facts.get("weights", f"given by the user ({name})")),
    )
