"""From the bytes of an image to uint8 RGB at the model's size, one way per engine.

What is an image, and which way up, is decided once for both ways: by :mod:`fruit_spark.photos.image_header`
and by Pillow, which reads the orientation wherever a format keeps it. Of an animation the first picture
counts. Alpha is dropped, as TensorFlow's ``decode_image(channels=3)`` drops it; grey becomes three equal
channels; 16 bits become the upper 8; CMYK becomes RGB; the aspect is stretched to a square, as the usual
pipelines do.

The resize is bilinear without antialiasing, in uint8: OpenCV's is then bit-identical on x86-64 and
on Graviton, which a float32 or a cubic resize is not.
"""

import fcntl
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from fruit_spark.photos.image_header import ImageHeader, check_image
from fruit_spark.step_errors import RejectedImage

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

Pixels = npt.NDArray[np.uint8]

_ORIENTATION: Final = 0x0112
_TURNS: Final[dict[object, Callable[[Pixels], Pixels]]] = {
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: np.rot90(stored, 2).transpose(1, 0, 2),
    8: np.rot90,
}
"""From the rows as stored to the picture as shown, by the EXIF orientation."""
_LARGE: Final = 200_000_000
"""Bytes. Images whose decoder holds more are decoded one at a time on a node."""
_STRIP_ROWS: Final = 256
"""Rows of a picture that are converted at a time, so that it is not held twice."""


class Decoder(Protocol):
    """Decodes and resizes: bytes of any supported format to uint8 [size, size, 3] RGB."""

    def __call__(self, data: bytes, size: int) -> Pixels: ...


def decode_with_opencv(data: bytes, size: int) -> Pixels:
    """uint8 [size, size, 3] RGB; ``RejectedImage`` with the reason for what is not a whole image.

    OpenCV decodes the usual JPEG, to Pillow's very pixels in half the time. Pillow decodes all else: each
    kind has then one decoder, and one verdict.
    """
    return _decode(data, size, _opencv_pixels, resize)


def decode_with_pillow(data: bytes, size: int) -> Pixels:
    """The reference: the same result without OpenCV."""
    return _decode(data, size, _pillow_pixels, bilinear)


def decode_as_stored(data: bytes) -> Pixels:
    """uint8 [height, width, 3] RGB, neither turned nor resized; a very large image at half its size.

    It runs in this process: give it bytes alone that another decoder has taken.
    """
    header = check_image(data)
    with _one_at_a_time(header.memory), _reasons(header):
        return _pillow_pixels(data, header, _open(data, header))


def _decode(
    data: bytes,
    size: int,
    decoded: Callable[[bytes, ImageHeader, "ImageFile"], Pixels],
    resized: Callable[[Pixels, int], Pixels],
) -> Pixels:
    header = check_image(data)
    with _one_at_a_time(header.memory), _reasons(header):
        image = _open(data, header)
        # Turned at last, when the picture is small: a bilinear resize to a square is the same either way.
        return _upright(resized(decoded(data, header, image), size), image)


@contextmanager
def _one_at_a_time(memory: int) -> Iterator[None]:
    """Wait until no other process of the node decodes a large image, where this one's is large."""
    if memory <= _LARGE:
        yield
        return
    with Path(tempfile.gettempdir(), f"fruit-large-image-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _reasons(header: ImageHeader) -> Iterator[None]:
    """What a decoder has against an image, whatever it raises, as the reason to reject it."""
    try:
        yield
    except RejectedImage:
        raise
    except MemoryError:
        raise RejectedImage(f"too large: the {header.format} takes more memory than a photo may") from None
    except Exception as problem:
        said = (str(problem).splitlines() or [type(problem).__name__])[0]
        raise RejectedImage(f"corrupt: the {header.format} data cannot be decoded: {said}") from None


def _open(data: bytes, header: ImageHeader) -> "ImageFile":
    """Read up to the picture. The plugins themselves, for ``Image.open`` keeps their reasons to itself."""
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile
    from PIL.WebPImagePlugin import WebPImageFile

    plugins: dict[str, type[ImageFile]] = {
        "JPEG": JpegImageFile,
        "PNG": PngImageFile,
        "BMP": BmpImageFile,
        "WebP": WebPImageFile,
    }
    return plugins[header.format](io.BytesIO(data))


def _opencv_pixels(data: bytes, header: ImageHeader, image: "ImageFile") -> Pixels:
    """uint8 [height, width, 3] RGB as stored, both divided by the header's reduction."""
    cv2 = opencv()
    if header.format != "JPEG" or image.mode not in ("L", "RGB"):
        return _pillow_pixels(data, header, image)
    # The flag of the half with colour in its name would set the order BGR besides.
    size = 0 if header.reduction == 1 else cv2.IMREAD_REDUCED_GRAYSCALE_2
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION | size
    pixels: Pixels | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise RejectedImage("corrupt: the JPEG data cannot be decoded")
    return pixels


def _pillow_pixels(data: bytes, header: ImageHeader, image: "ImageFile") -> Pixels:
    """The same from Pillow: JPEG decodes at the smaller size, of another format every n-th pixel is kept."""
    from PIL import Image

    step = header.reduction
    if header.format == "JPEG" and step > 1:
        image.draft(None, (header.width // step, header.height // step))
        step = 1
    image.load()
    width, height = image.width // step, image.height // step
    pixels = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, _STRIP_ROWS):
        bottom = min(top + _STRIP_ROWS, height)
        strip = image.crop((0, top * step, width * step, bottom * step))
        if step > 1:
            strip = strip.resize((width, bottom - top), Image.Resampling.NEAREST)
        pixels[top:bottom] = np.asarray(_eight_bits(strip).convert("RGB"))
    return pixels


def _eight_bits(image: Any) -> Any:
    """Pillow keeps 16-bit grey as it is and would clip it: take the upper 8 bits instead."""
    from PIL import Image

    if image.mode == "I" or image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
    return image


def _upright(pixels: Pixels, image: "ImageFile") -> Pixels:
    """As Pillow's ``exif_transpose`` does: by EXIF of any kind and byte order, PNG's text chunk, or XMP."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION))
    except Exception:  # damaged notes on a photo are no reason to reject the photo
        return pixels
    return pixels if turn is None else np.ascontiguousarray(turn(pixels))


def resize(image: Pixels, size: int) -> Pixels:
    """uint8 [height, width, 3] as uint8 [size, size, 3]."""
    resized: Pixels = image
    if image.shape[:2] != (size, size):
        cv2 = opencv()
        resized = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    return resized


@cache
def opencv() -> Any:
    """The module cv2, on one thread: Spark already runs one task per core. Loaded only where it is used."""
    import cv2

    cv2.setNumThreads(1)
    return cv2


def bilinear(image: Pixels, size: int) -> Pixels:
    """The same by its definition: half-pixel centres, as ``tf.image.resize(antialias=False)``."""

    def neighbours(length: int) -> tuple[Any, Any, Any]:
        """For each of ``size`` places, the two that it lies between, and its way from the first."""
        place = np.clip((np.arange(size, dtype=np.float32) + 0.5) * (length / size) - 0.5, 0, length - 1)
        low = place.astype(np.intp)
        return low, np.minimum(low + 1, length - 1), place - low

    above, below, down = neighbours(image.shape[0])
    left, right, along = neighbours(image.shape[1])
    down, along = down[:, None, None], along[:, None]
    rows = image[above] * (1 - down) + image[below] * down
    rounded: Pixels = np.rint(rows[:, left] * (1 - along) + rows[:, right] * along).astype(np.uint8)
    return rounded
