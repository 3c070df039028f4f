"""What can run the network: LiteRT, ONNX Runtime, OpenVINO and Keras, each on one thread."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from fruit_contract.model_files import model_file
from fruit_spark.model.engines import Features
from fruit_spark.photos.decode import decode_with_opencv

Predict = Callable[[Features], Features]
"""float32 [batch, size, size, 3] in [0, 1] to float32 [batch, 1280]."""
_OPSET: Final = 18


class Networks(NamedTuple):
    """The same weights in the formats of all."""

    artifact: Path
    """The model artifact's folder."""
    onnx: Path | None = None
    """A folder with what ``write_onnx`` wrote; ONNX Runtime alone needs it."""


@dataclass(frozen=True)
class Contender:
    """A library in one precision."""

    library: str
    package: str
    precision: str
    open: Callable[[Networks, int, int], Predict]
    """Load for a number of photos a call, and their size in pixels."""
    batches: tuple[int, ...] = (1, 4, 8, 32)

    @property
    def name(self) -> str:
        return f"{self.library} {self.precision}"


@cache
def _one_thread_for_tensorflow() -> None:
    """Once: TensorFlow refuses it when it has begun to work."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def write_onnx(artifact: Path, folder: Path) -> Networks:
    """``float32.onnx`` and ``float16.onnx``, from the artifact's .tflite, for any number of photos a call."""
    import onnx
    import tf2onnx.convert
    from onnxruntime.transformers import float16

    _one_thread_for_tensorflow()  # tf2onnx works with it
    model, _ = tf2onnx.convert.from_tflite(str(artifact / model_file("litert", "float32")), opset=_OPSET)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "photos"
    # The shapes in between are of one photo: ONNX Runtime finds them again.
    del model.graph.value_info[:]
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "float32.onnx")
    onnx.save(float16.convert_float_to_float16(model, keep_io_types=True), folder / "float16.onnx")
    return Networks(artifact, folder)


def decoded(photo: Path, size: int) -> Features:
    """float32 [size, size, 3] in [0, 1]: what all are given."""
    return np.asarray(decode_with_opencv(photo.read_bytes(), size) / np.float32(255), np.float32)


def _litert(precision: str) -> Callable[[Networks, int, int], Predict]:
    def open_(networks: Networks, batch: int, size: int) -> Predict:
        from ai_edge_litert.interpreter import Interpreter

        file = networks.artifact / model_file("litert", precision)
        interpreter = Interpreter(model_path=str(file), num_threads=1)
        [taken] = (detail["index"] for detail in interpreter.get_input_details())
        [given] = (detail["index"] for detail in interpreter.get_output_details())
        interpreter.resize_tensor_input(taken, [batch, size, size, 3])
        interpreter.allocate_tensors()

        def predict(photos: Features) -> Features:
            interpreter.set_tensor(taken, photos)
            interpreter.invoke()
            return np.asarray(interpreter.get_tensor(given), np.float32)

        return predict

    return open_


def _onnxruntime(precision: str) -> Callable[[Networks, int, int], Predict]:
    def open_(networks: Networks, batch: int, size: int) -> Predict:
        import onnxruntime

        if networks.onnx is None:
            raise ValueError("ONNX Runtime needs a folder that write_onnx has filled.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session: Any = onnxruntime.InferenceSession(
            networks.onnx / f"{precision}.onnx", options, providers=["CPUExecutionProvider"]
        )
        [taken] = session.get_inputs()
        return lambda photos: np.asarray(session.run(None, {taken.name: photos})[0], np.float32)

    return open_


def _openvino(precision: str) -> Callable[[Networks, int, int], Predict]:
    def open_(networks: Networks, batch: int, size: int) -> Predict:
        import openvino

        core: Any = openvino.Core()
        # It reads the .tflite itself, and takes the precision as a hint.
        model = core.read_model(networks.artifact / model_file("litert", "float32"))
        model.reshape([batch, size, size, 3])
        options = {
            "INFERENCE_PRECISION_HINT": {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}[precision],
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        request = core.compile_model(model, "CPU", options).create_infer_request()

        def predict(photos: Features) -> Features:
            request.infer([photos], share_inputs=True)
            return np.array(request.get_output_tensor().data, np.float32)

        return predict

    return open_


def _keras(networks: Networks, batch: int, size: int) -> Predict:
    import keras

    _one_thread_for_tensorflow()
    network = keras.models.load_model(networks.artifact / model_file("keras", "float32"), compile=False)
    return lambda photos: np.asarray(network.predict_on_batch(photos), np.float32)


LITERT: Final = Contender("LiteRT", "ai-edge-litert", "float32", _litert("float32"))
KERAS: Final = Contender("Keras", "tensorflow", "float32", _keras, batches=(32,))
"""The reference of every answer."""
CONTENDERS: Final = (
    LITERT,
    Contender("LiteRT", "ai-edge-litert", "float16", _litert("float16")),
    Contender("ONNX Runtime", "onnxruntime", "float32", _onnxruntime("float32")),
    Contender("ONNX Runtime", "onnxruntime", "float16", _onnxruntime("float16")),
    Contender("OpenVINO", "openvino", "float32", _openvino("float32")),
    Contender("OpenVINO", "openvino", "bfloat16", _openvino("bfloat16")),
    Contender("OpenVINO", "openvino", "float16", _openvino("float16")),
    KERAS,
)
