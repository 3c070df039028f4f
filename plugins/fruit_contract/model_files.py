"""What both sides must agree on about the model: engines, precisions, image sizes, the artifact's files."""

from typing import Final, Literal, get_args

Precision = Literal["float32", "float16"]
"""Of the weights, as they are stored and broadcast."""
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)

Engine = Literal["litert", "keras"]
"""What runs the network. Others were measured, and left out: docs/evidence/engines.md."""
DEFAULT_ENGINE: Final = "litert"
ENGINE_PACKAGES: Final[dict[Engine, str]] = {"litert": "ai_edge_litert", "keras": "tensorflow"}
"""What an engine imports."""

IMAGE_SIZE_STEP: Final = 32
IMAGE_SIZES: Final = tuple(range(96, 225, IMAGE_SIZE_STEP))
"""Pixels on a side. Keras has ImageNet weights for these (its documentation of MobileNetV2). Each halves five
times without a remainder, so that the LiteRT model, converted at 224, pads as one built at that size does."""

FACTS_FILE: Final = "model.json"
MODEL_FILES: Final[dict[tuple[str, str], str]] = {
    ("litert", "float32"): "mobilenetv2.tflite",
    ("litert", "float16"): "mobilenetv2_float16.tflite",
    ("keras", "float32"): "mobilenetv2.keras",
}
"""The file of the model artifact for an engine and a precision."""


def model_file(engine: str, precision: str) -> str:
    """The artifact's file for this choice; ``ValueError`` with one sentence where there is none.

    >>> model_file("litert", "float16")
    'mobilenetv2_float16.tflite'
    """
    if (engine, precision) in MODEL_FILES:
        return MODEL_FILES[engine, precision]
    offered = [known for known in PRECISIONS if (engine, known) in MODEL_FILES]
    raise ValueError(
        f"The {engine} engine has no {precision} model: use precision {' or '.join(offered)}, "
        "or engine litert."
    )
