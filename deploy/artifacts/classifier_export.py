"""Write a result's classifier as one file for apps and robots: a photo in, probabilities out.

    python -m artifacts.classifier_export [--result out/latest] [--output out/model] [--photos FOLDER]

The folder gets ``classifier.tflite`` (float32), ``classifier_float16.tflite`` and ``README.md``. MobileNetV2,
the PCA and the classifier are one network in them. Nothing is written unless the float32 file answers photos
as ``python -m predict`` does. A float16 file that is far from it is left out.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from artifacts import ROOT
from artifacts.atomic import write_atomically
from artifacts.model_artifact import KERAS, convert
from artifacts.tflite_metadata import SIGNATURE, Description, describe
from fruit_contract.model_files import PRECISIONS, Precision
from fruit_spark.classifier.layers import Float64, Layers
from fruit_spark.model.engines import KerasEngine
from fruit_spark.photos.decode import Pixels, decode_with_opencv
from fruit_spark.photos.fetch import fetch_image
from fruit_spark.photos.image_listing import list_images
from fruit_spark.predict.command_line import MODEL, RESULT, Predictor
from fruit_spark.step_errors import RejectedImage, StepError
from local_run.generated_photos import generate

if TYPE_CHECKING:
    import keras

FILES: Final[dict[Precision, str]] = {
    "float32": "classifier.tflite",
    "float16": "classifier_float16.tflite",
}
_HALF: Final = """`{file}` is the same at half the size. On the {photos} photos of its check its
probabilities differed by at most {probability:.1e}. Those of other photos can differ by more: try your own.
"""
README: Final = Path(__file__).with_name("exported_model.md")
TOLERANCE: Final = 1e-5
"""The largest difference of float32."""
HALF_TOLERANCE: Final = 0.05
"""That of float16, in which other weights would show all the same; rare photos are 0.2 apart."""
CHECKED: Final = 32
"""Photos by which a file is checked, at most."""


@dataclass(frozen=True)
class Answers:
    """Of n photos: float [n, labels] and [n]."""

    probabilities: npt.NDArray[Any]
    residuals: npt.NDArray[Any]


@dataclass(frozen=True)
class Difference:
    """The largest: of a probability, and of a residual as a share of it, or of 1 where it is less."""

    probability: float
    residual: float
    labels: int
    """Photos whose most likely label is another."""
    photos: int

    @property
    def largest(self) -> float:
        return max(self.probability, self.residual)


def fused(network: "keras.Model", layers: Layers) -> Callable[[Any], tuple[Any, Any]]:
    """Photos, float32 [1, size, size, 3] in [0, 1], to probabilities [1, labels] and residual [1].

    The features are centred before anything is multiplied, so that float32 has enough digits. What scales the
    components goes into the weights of the first dense layer.
    """
    import tensorflow as tf

    (weights, bias), *rest = layers.dense
    scaled = weights / layers.scale[:, None]
    offset = (layers.mean @ layers.components - layers.shift) @ scaled + bias
    mean, components = _float32(layers.mean), _float32(layers.components)
    spread, directions = _float32(layers.spread), _float32(layers.directions)
    dense = [(_float32(each), _float32(its_bias)) for each, its_bias in [(scaled, offset), *rest]]

    def classify(photos: Any) -> tuple[Any, Any]:
        centred = network(photos, training=False) - mean
        reduced = tf.matmul(centred, components)
        rest = centred / spread - tf.matmul(reduced, directions, transpose_b=True)
        residual = tf.norm(rest, axis=1)
        values = reduced
        for number, (each, its_bias) in enumerate(dense):
            values = tf.matmul(tf.sigmoid(values) if number else values, each) + its_bias
        return tf.nn.softmax(values), residual

    return classify


def _float32(values: Float64) -> npt.NDArray[np.float32]:
    return values.astype(np.float32)


def answers(tflite: bytes, pixels: npt.NDArray[np.uint8]) -> Answers:
    """What the file says of uint8 [n, size, size, 3], one photo at a time."""
    from ai_edge_litert.interpreter import Interpreter

    classify = Interpreter(model_content=tflite, num_threads=1).get_signature_runner(SIGNATURE)
    found = [classify(photo=photo[None] / np.float32(255)) for photo in pixels]
    return Answers(
        np.concatenate([each["probabilities"] for each in found]),
        np.concatenate([each["residual"] for each in found]),
    )


def compare(found: Answers, expected: Answers) -> Difference:
    """How far a file is from the reference; ``StepError`` where it gives no finite number."""
    if not (np.isfinite(found.probabilities).all() and np.isfinite(found.residuals).all()):
        raise StepError("The exported classifier gives numbers that are not finite: its conversion is wrong.")
    apart = np.abs(found.residuals - expected.residuals) / np.maximum(expected.residuals, 1)
    labels = found.probabilities.argmax(axis=1) != expected.probabilities.argmax(axis=1)
    return Difference(
        float(np.abs(found.probabilities - expected.probabilities).max()),
        float(apart.max()),
        int(labels.sum()),
        len(labels),
    )


def checked_photos(folder: Path, size: int) -> npt.NDArray[np.uint8]:
    """uint8 [n, size, size, 3] of at most ``CHECKED`` usable photos, evenly out of the folder."""
    found = list_images(str(folder))
    pixels: list[Pixels] = []
    for photo in found[:: max(1, len(found) // CHECKED)][:CHECKED]:
        try:
            pixels.append(decode_with_opencv(fetch_image(photo), size))
        except RejectedImage:
            continue
    if not pixels:
        raise StepError(f"No photo of {folder} can be used to check the classifier: give other photos.")
    return np.stack(pixels)


def export(predictor: Predictor, model: Path, photos: Path) -> dict[str, bytes]:
    """The files by their names; ``StepError`` where they cannot be made, or do not answer as they should."""
    card, layers = predictor.classifier.card, predictor.classifier.layers
    facts, limits = card["model"], card["thresholds"]
    try:
        network = KerasEngine((model / KERAS).read_bytes(), facts["image_size"]).network
    except OSError as problem:
        raise StepError(
            f"{model / KERAS} could not be read ({problem.strerror}): build the artifact with `make setup`."
        ) from problem
    pixels = checked_photos(photos, facts["image_size"])
    features = predictor.engine.predict(pixels)
    expected = Answers(layers.probabilities(features), layers.residuals(features))
    described = Description(
        name="Fruit classifier",
        version=card["run_key"],
        text=f"What fruit is on a photo. Not sure below {limits['probability']:.4g}.",
        residual=f"Above {limits['residual']:.4g} a photo is of no fruit that the model knows.",
        labels=[" ".join(label.split()) for label in card["labels"]],
        least_probability=limits["probability"],
    )
    files: dict[str, bytes] = {}
    differences: dict[Precision, Difference] = {}
    for precision in PRECISIONS:
        converted = convert(fused(network, layers), precision, facts["image_size"])
        files[FILES[precision]] = describe(converted, described)
        differences[precision] = compare(answers(files[FILES[precision]], pixels), expected)
        print(f"{FILES[precision]}: {_words(differences[precision])}", flush=True)
    # A classifier of float16 features was never meant to give the numbers of float32.
    limit = TOLERANCE if facts["precision"] == "float32" else HALF_TOLERANCE
    single, half = differences["float32"], differences["float16"]
    if single.largest > limit:
        raise StepError(
            f"The exported float32 classifier is not the one of the result ({_words(single)}; at most "
            f"{limit:g}): build the model with `make setup`."
        )
    if half.largest > HALF_TOLERANCE:
        del files[FILES["float16"]]
        print(
            f"{FILES['float16']} is left out: it differs by {half.largest:.3g}, where {HALF_TOLERANCE:g} is "
            f"allowed, and {half.labels} of {half.photos} photos get another label."
        )
    files["README.md"] = readme(predictor, half if FILES["float16"] in files else None).encode()
    return files


def _words(difference: Difference) -> str:
    return (
        f"a probability differs by at most {difference.probability:.1e} from predict, "
        f"a residual by {difference.residual:.1e} of it, on {difference.photos} photos"
    )


def readme(predictor: Predictor, half: Difference | None) -> str:
    """For who gets the files; ``half`` is None where there is no float16 file."""
    card = predictor.classifier.card
    return Template(README.read_text()).substitute(
        count=len(card["labels"]),
        half=_HALF.format(file=FILES["float16"], **vars(half)) if half else "",
        run_key=card["run_key"],
        model=card["model"]["name"],
        weights=card["model"]["weights"],
        size=card["model"]["image_size"],
        residual=f"{card['thresholds']['residual']:.4g}",
        probability=f"{card['thresholds']['probability']:.4g}",
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m artifacts.classifier_export", description="Write a classifier as .tflite for apps."
    )
    parser.add_argument("--result", default=RESULT, help=f"as of python -m predict. Default: {RESULT}")
    parser.add_argument("--model", type=Path, default=MODEL, help=f"folder of the artifact. Default: {MODEL}")
    parser.add_argument(
        "--photos", type=Path, default=None, help="folder to check with. Default: generated ones"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "model", help="folder to write")
    asked = parser.parse_args(arguments)
    # TensorFlow's greetings say nothing a reader of this command can use.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            photos = asked.photos or generate(Path(scratch), CHECKED)
            files = export(Predictor.of(asked.result, asked.model), asked.model, photos)
    except StepError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    if FILES["float16"] not in files:
        # One of an earlier export would be taken for this one's.
        (asked.output / FILES["float16"]).unlink(missing_ok=True)
    for name, content in files.items():
        write_atomically(asked.output / name, content)
        print(f"{asked.output / name}: {len(content):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
