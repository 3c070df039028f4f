"""The two ways to compute features: LiteRT (default) and Keras (the reference it is tested against).

An engine lives in one Python worker and is used by one task at a time, on one thread: Spark already
runs one task per core.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from fruit_contract.model_files import Precision
from fruit_spark.photos.decode import Decoder, decode_with_opencv, decode_with_pillow
from fruit_spark.photos.decoder_process import DecoderProcess
from fruit_spark.step_errors import StepError

FEATURE_DIM: Final = 1280

Features = npt.NDArray[np.float32]
_TFLITE_NEEDED: Final = (
    f"Give a .tflite with one float32 input [1, height, width, 3] and one output [1, {FEATURE_DIM}]."
)


class Engine(Protocol):
    """A loaded model."""

    decode: Decoder

    def predict(self, images: npt.NDArray[np.uint8]) -> Features:
        """uint8 [n, size, size, 3] RGB to float32 [n, 1280]."""
        ...


def _open_tflite(model: bytes) -> Any:
    """A LiteRT interpreter on one thread, whose tensors are not allocated yet."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        return Interpreter(model_content=model, num_threads=1)
    except (ValueError, RuntimeError) as problem:
        raise StepError(f"The model cannot be used by LiteRT: {problem}. {_TFLITE_NEEDED}") from problem


def weights_precision(model: bytes) -> Precision:
    """The precision in which a .tflite stores its weights: float16 where any tensor has it.

    A model with float16 weights widens them to float32 when it is loaded, unless its metadata and the
    processor allow half precision throughout (``deploy/artifacts/model_artifact.py``).
    """
    stored = {detail["dtype"] for detail in _open_tflite(model).get_tensor_details()}
    return "float16" if np.float16 in stored else "float32"


class LiteRtEngine:
    """A .tflite model on XNNPACK, one image at a time: larger batches are no faster on one core."""

    def __init__(self, model: bytes, image_size: int, decode: Decoder | None = None) -> None:
        self.decode: Decoder = decode or DecoderProcess(decode_with_opencv)
        self._interpreter = _open_tflite(model)
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_signature(
            [(np.dtype(given["dtype"]).name, tuple(given["shape"].tolist())) for given in inputs],
            len(outputs),
        )
        self._input, self._output = inputs[0]["index"], outputs[0]["index"]
        try:
            self._interpreter.resize_tensor_input(self._input, [1, image_size, image_size, 3])
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as problem:
            raise StepError(
                f"The model cannot be used by LiteRT at {image_size} x {image_size} pixels: {problem}. "
                f"{_TFLITE_NEEDED}"
            ) from problem

    def predict(self, images: npt.NDArray[np.uint8]) -> Features:
        features: list[npt.NDArray[np.float32]] = []
        for image in images:
            # Straight into the model's own memory; no reference to it may be left when the model runs.
            np.divide(image, np.float32(255), out=self._interpreter.tensor(self._input)()[0])
            self._interpreter.invoke()
            features.append(self._interpreter.get_tensor(self._output))
        return np.concatenate(features).astype(np.float32, copy=False)


def _check_signature(inputs: list[tuple[str, tuple[int | None, ...]]], outputs: int) -> None:
    """``StepError`` unless there is one float32 input of RGB photos (dtype, shape) and one output."""
    if [(dtype, len(shape), shape[-1:]) for dtype, shape in inputs] != [("float32", 4, (3,))] or outputs != 1:
        said = ", ".join(f"{dtype} {list(shape)}" for dtype, shape in inputs)
        raise StepError(
            f"The model takes {said} and gives {outputs} output{'s' * (outputs != 1)}: use one that takes "
            f"float32 [n, height, width, 3] in [0, 1] and gives one output [n, {FEATURE_DIM}]."
        )


class KerasEngine:
    """A .keras or .h5 model in TensorFlow, without OpenCV: slower, and independent of the default."""

    def __init__(self, model: bytes, image_size: int) -> None:
        try:
            import keras
            import tensorflow as tf
        except ImportError as problem:
            raise StepError(
                "The Keras engine needs TensorFlow, which is not in this runtime: "
                "use --engine litert, or add tensorflow to the runtime archive."
            ) from problem
        try:
            tf.config.threading.set_intra_op_parallelism_threads(1)
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            pass  # TensorFlow is already running in this process (a test's driver): it keeps its threads
        self.decode: Decoder = DecoderProcess(decode_with_pillow)
        # HDF5 files open with their own signature; everything else that Keras writes is a zip.
        suffix = ".h5" if model.startswith(b"\x89HDF") else ".keras"
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / f"model{suffix}"
            file.write_bytes(model)
            try:
                loaded = keras.models.load_model(file, compile=False)
            except (ValueError, OSError, TypeError) as problem:
                first = str(problem).splitlines()[0]
                raise StepError(
                    f"The model cannot be loaded by Keras: {first}. Give a .keras or .h5."
                ) from problem
        _check_signature([(given.dtype, tuple(given.shape)) for given in loaded.inputs], len(loaded.outputs))
        self.network: Any = self._at_size(loaded, image_size)

    @staticmethod
    def _at_size(model: Any, image_size: int) -> Any:
        """The same layers and weights for another image size; as it is where the size is already right."""
        import keras

        if model.input_shape[1:3] in ((image_size, image_size), (None, None)):
            return model
        base = next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)
        if base is None or not base.name.startswith("mobilenetv2"):
            raise StepError(
                f"The model takes {model.input_shape[1]} x {model.input_shape[2]} pixels: use --image-size "
                f"{model.input_shape[1]}, or a model of the artifact, which can be rebuilt at other sizes."
            )
        rebuilt = keras.applications.MobileNetV2(
            input_shape=(image_size, image_size, 3), include_top=False, pooling="avg", weights=None
        )
        rebuilt.set_weights(base.get_weights())
        photos = keras.Input((image_size, image_size, 3))
        return keras.Model(photos, rebuilt(keras.layers.Rescaling(2.0, offset=-1.0)(photos)))

    def predict(self, images: npt.NDArray[np.uint8]) -> Features:
        predicted = self.network.predict_on_batch(images.astype(np.float32) / np.float32(255))
        return np.asarray(predicted, np.float32)


ENGINES: Final[dict[str, Callable[[bytes, int], Engine]]] = {"litert": LiteRtEngine, "keras": KerasEngine}


def check_output(engine: Engine, image_size: int) -> None:
    """Predict one black image: ``StepError`` unless it gives 1,280 finite numbers."""
    features = engine.predict(np.zeros((1, image_size, image_size, 3), np.uint8))
    if features.shape != (1, FEATURE_DIM):
        raise StepError(
            f"The model gives an output of shape {features.shape}, [1, {FEATURE_DIM}] is needed: use "
            "MobileNetV2 1.0 without its classifier, globally averaged (include_top=False, pooling='avg')."
        )
    if not np.isfinite(features).all():
        raise StepError(
            "The model gives features that are not finite: its file is damaged, or its weights are."
        )
