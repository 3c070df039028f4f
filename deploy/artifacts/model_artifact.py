"""Build the model artifact: one folder with the network in the formats of both engines.

    python -m artifacts.model_artifact --output .cache/model [--weights auto|imagenet|fallback|FILE]

The folder holds ``mobilenetv2.tflite`` (default engine), ``mobilenetv2_float16.tflite`` (the same with
float16 weights), ``mobilenetv2.keras`` (reference engine) and ``model.json``. The network is MobileNetV2
1.0 without its classifier, globally averaged: float32 [n, 224, 224, 3] RGB in [0, 1] to float32 [n, 1280].
Its first layer maps [0, 1] to MobileNetV2's [-1, 1], so that a photo is divided by 255 and nothing else.
"""

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from artifacts import ROOT
from artifacts.atomic import write_atomically
from artifacts.weights import Weights, WeightsError, load_layers, resolve
from fruit_contract.model_files import FACTS_FILE, MODEL_FILES, PRECISIONS, Precision
from fruit_spark.model.engines import FEATURE_DIM, LiteRtEngine, check_output, weights_precision
from fruit_spark.step_errors import StepError

if TYPE_CHECKING:
    import keras

IMAGE_SIZE: Final = 224
NAME: Final = "MobileNetV2 1.0"
KERAS: Final = MODEL_FILES["keras", "float32"]


def build_network(weights: Weights, image_size: int = IMAGE_SIZE) -> "keras.Model":
    """MobileNetV2 1.0 with ``weights``: float32 [n, size, size, 3] in [0, 1] to float32 [n, 1280].

    A .keras file, or an .h5 that holds a whole model with this input and output, is used as it is;
    its input must be in [0, 1]. Any other .h5 gives its layers to a fresh network by name.
    """
    import keras

    if weights.file is not None and weights.file.suffix == ".keras":
        try:
            return _checked(keras.models.load_model(weights.file, compile=False), weights.file)
        except (ValueError, OSError) as problem:
            raise WeightsError(f"{weights.file.name} is not a Keras model: {problem}") from problem
    base = keras.applications.MobileNetV2(
        input_shape=(image_size, image_size, 3),
        include_top=False,
        pooling="avg",
        weights="imagenet" if weights.file is None else None,
    )
    if weights.file is not None:
        try:
            load_layers(base, weights.file)
        except OSError as problem:
            raise WeightsError(f"{weights.file.name} is not an HDF5 file: {problem}") from problem
    photos = keras.Input((image_size, image_size, 3), name="photos", dtype="float32")
    scaled = keras.layers.Rescaling(2.0, offset=-1.0, name="to_minus_one_one")(photos)
    return keras.Model(photos, base(scaled), name="mobilenetv2_features")


def _checked(model: "keras.Model", file: Path) -> "keras.Model":
    if len(model.output_shape) != 2 or model.output_shape[-1] != FEATURE_DIM:
        raise WeightsError(
            f"{file.name} gives an output of shape {model.output_shape}; [n, {FEATURE_DIM}] is needed: "
            "cut the classifier off and average globally (include_top=False, pooling='avg')."
        )
    return model


def to_tflite(model: "keras.Model", precision: Precision, image_size: int = IMAGE_SIZE) -> bytes:
    """The LiteRT form of ``model``, for one image at a time (the faster way on a CPU core).

    A float16 model says in its metadata that it may also accumulate in float16 (``fp16accfp16``): XNNPACK's
    delegate then computes in half precision on a processor that has it (ARMv8.2, such as Graviton2's Neoverse
    N1) and in float32 elsewhere.
    """
    return convert(lambda photos: model(photos, training=False), precision, image_size, half_sums=True)


def convert(
    network: Callable[[Any], Any], precision: Precision, image_size: int, *, half_sums: bool = False
) -> bytes:
    """The LiteRT form of a function of one photo, float32 [1, size, size, 3].

    Its input and outputs are float32 in either precision. Without ``half_sums`` a float16 one stores its
    weights so and computes in float32 everywhere: what the converter writes by default, ``fp16accfp32``,
    takes no half-precision kernel (TensorFlow's ``xnnpack_delegate.cc``).
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    signature = tf.TensorSpec([1, image_size, image_size, 3], tf.float32, name="photos")
    function = tf.function(network).get_concrete_function(signature)
    # Frozen first: the converter does not see a Keras 3 model's variables, and would leave them out.
    frozen = convert_variables_to_constants_v2(function)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
    if precision == "float16":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        if half_sums:
            converter.target_spec._experimental_supported_accumulation_type = tf.float16
    converted: bytes = converter.convert()
    return converted


def build(output: Path, choice: str, downloads: Path) -> dict[str, object]:
    """Write the artifact into ``output`` and return what ``model.json`` says."""
    weights = resolve(choice, downloads)
    files: dict[str, bytes] = {}
    if weights.file is not None and weights.file.suffix == ".tflite":
        given = weights.file.read_bytes()
        files[MODEL_FILES["litert", _usable_precision(given, weights.file)]] = given
    elif weights.file is not None and weights.file.suffix not in (".h5", ".hdf5", ".keras"):
        raise WeightsError(f"{weights.file.name} is no model file: give an .h5, .keras or .tflite.")
    else:
        model = build_network(weights)
        for precision in PRECISIONS:
            files[MODEL_FILES["litert", precision]] = to_tflite(model, precision)
        with tempfile.TemporaryDirectory() as folder:
            model.save(Path(folder) / KERAS)
            files[KERAS] = (Path(folder) / KERAS).read_bytes()
    facts: dict[str, object] = {
        "name": NAME,
        "weights": weights.words,
        "fingerprints": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        "feature_dim": FEATURE_DIM,
        "image_size": IMAGE_SIZE,
        "input": "float32 RGB in [0, 1]",
        "license": weights.license,
        "choice": choice,
    }
    for name in MODEL_FILES.values():
        if name in files:
            write_atomically(output / name, files[name])
        else:
            (output / name).unlink(missing_ok=True)
    # Written last: a folder without it is not finished.
    write_atomically(output / FACTS_FILE, (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode())
    return facts


def _usable_precision(tflite: bytes, file: Path) -> Precision:
    """The precision of a .tflite that the steps can use; ``WeightsError`` for any other."""
    try:
        check_output(LiteRtEngine(tflite, IMAGE_SIZE), IMAGE_SIZE)
        return weights_precision(tflite)
    except StepError as problem:
        raise WeightsError(f"{file.name} is of no use: {problem}") from problem


def is_current(output: Path, choice: str) -> bool:
    """Whether ``output`` already holds what this choice would build."""
    try:
        facts = json.loads((output / FACTS_FILE).read_text())
        found = {
            name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in MODEL_FILES.values()
        }
    except (OSError, ValueError):
        return False
    same = facts.get("choice") == choice and choice in ("auto", "imagenet", "fallback")
    return bool(same and facts.get("fingerprints") == found)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m artifacts.model_artifact", description="Build the model artifact."
    )
    made.add_argument("--output", type=Path, default=ROOT / ".cache" / "model", help="folder to write")
    made.add_argument(
        "--weights",
        default="auto",
        help="auto (ImageNet if its host answers within 3 s, else the fallback), imagenet, fallback, "
        "or an .h5, .keras or .tflite by path or s3:// address (input in [0, 1]). Default: auto",
    )
    made.add_argument("--downloads", type=Path, default=ROOT / ".cache" / "downloads", help="download cache")
    made.add_argument("--force", action="store_true", help="build even if the folder is already right")
    return made


def main(arguments: list[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    if not asked.force and is_current(asked.output, asked.weights):
        print(f"{asked.output}: already built")
        return 0
    # TensorFlow's greetings say nothing a reader of this command can use.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    begun = time.monotonic()
    try:
        facts = build(asked.output, asked.weights, asked.downloads)
    except WeightsError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(f"{asked.output}: {facts['name']}, {facts['weights']}, {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
