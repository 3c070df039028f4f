"""From the bytes of an image to uint8 RGB at the model's size, one way per engine.

Both ways agree on the odd cases: EXIF orientation is applied; alpha is dropped, as TensorFlow's
``decode_image(channels=3)`` drops it; grey becomes three equal channels; 16 bits become the
upper 8; CMYK becomes RGB; the aspect is stretched to a square, as the usual pipelines do.

The resize is bilinear without antialiasing, in uint8: OpenCV's is then bit-identical on x86-64 and
on Graviton, which a float32 or a cubic resize is not.
"""

import io
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fruit_spark.errors import RejectedImage
from fruit_spark.image_header import check_image

Pixels = npt.NDArray[np.uint8]


class Decoder(Protocol):
    """Decodes and resizes: bytes of any supported format to uint8 [size, size, 3] RGB."""

    def __call__(self, data: bytes, size: int) -> Pixels: ...


def decode_with_opencv(data: bytes, size: int) -> Pixels:
    """uint8 [size, size, 3] RGB; ``RejectedImage`` with the reason for what is not a whole image."""
    import cv2

    header = check_image(data)
    try:
        # Applies the EXIF orientation and gives 8-bit RGB whatever the file holds.
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as problem:
        raise RejectedImage(f"corrupt: OpenCV: {problem.err}") from None
    if image is None:
        raise RejectedImage(f"corrupt: the {header.format} data cannot be decoded")
    return resize(image, size)


def resize(image: Any, size: int) -> Pixels:
    """uint8 [height, width, 3] as uint8 [size, size, 3]."""
    import cv2

    resized: Pixels = image
    if image.shape[:2] != (size, size):
        resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return resized


def decode_with_pillow(data: bytes, size: int) -> Pixels:
    """The reference: the same result from Pillow and TensorFlow, independent of OpenCV."""
    import tensorflow as tf
    from PIL import Image, ImageOps

    header = check_image(data)
    try:
        with Image.open(io.BytesIO(data)) as opened:
            opened.load()
            # Pillow applies Adobe's inversion of CMYK itself.
            image = np.asarray(_eight_bits(ImageOps.exif_transpose(opened)).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as problem:
        raise RejectedImage(f"corrupt: the {header.format} data cannot be decoded: {problem}") from None
    resized = tf.image.resize(image, (size, size), method="bilinear", antialias=False)
    rounded: Pixels = np.rint(resized.numpy()).astype(np.uint8)
    return rounded


def _eight_bits(image: Any) -> Any:
    """Pillow keeps 16-bit grey as it is and would clip it: take the upper 8 bits instead."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image
