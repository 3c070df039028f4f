"""The picture of a photo beside what the model gets of it."""

import io
from typing import TYPE_CHECKING, Final

from fruit_spark.photos.decode import Pixels

if TYPE_CHECKING:
    from PIL.Image import Image

SIDE: Final = 448
"""Pixels of a picture's longer side, at most, but for the model's, which is never made smaller."""
GAP: Final = 16
TOP: Final = 24
"""Rows above the pictures, for words."""


def side_by_side(stored: Pixels, seen: Pixels) -> bytes:
    """PNG: ``stored`` [height, width, 3] at the left, the model's ``seen`` [size, size, 3] at the right.

    Each pixel that the model gets is a square of whole pixels, in its very colour.
    """
    from PIL import Image, ImageDraw

    photo = Image.fromarray(stored)
    photo.thumbnail((SIDE, SIDE))
    scale = max(1, SIDE // len(seen))
    square = Image.fromarray(seen.repeat(scale, axis=0).repeat(scale, axis=1))
    height, width = max(photo.height, square.height), photo.width + square.width
    picture = Image.new("RGB", (3 * GAP + width, TOP + height + GAP), "white")
    draw = ImageDraw.Draw(picture)
    left = GAP
    for words, part in (("file", photo), ("model", square)):
        rows, columns = (stored if part is photo else seen).shape[:2]
        draw.text((left, GAP // 2), f"{words}: {columns} x {rows}", fill="black")
        picture.paste(part, (left, TOP))
        left += part.width + GAP
    return _as_png(picture)


def _as_png(picture: "Image") -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "PNG")
    return sink.getvalue()
