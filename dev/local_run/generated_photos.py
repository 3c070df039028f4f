"""Deterministic fruit-like photos: a shaded, speckled body with a stem on a plain background.

They stand in for real photos where none are given. The same number always makes the same files,
and each label has its own colour, shape and texture, so that the features have something to find.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIDE: Final = 100
_QUALITY: Final = 92
_VERSION: Final = "2"


@dataclass(frozen=True)
class Fruit:
    """How the photos of one label look."""

    label: str
    colour: tuple[int, int, int]
    aspect: float
    speckle: float
    stripes: int


FRUITS: Final = (
    Fruit("Apple Braeburn", (186, 42, 38), 1.00, 0.10, 0),
    Fruit("Apple Granny Smith", (126, 181, 54), 0.98, 0.06, 0),
    Fruit("Avocado", (58, 78, 34), 0.72, 0.25, 0),
    Fruit("Banana", (233, 205, 66), 0.42, 0.08, 3),
    Fruit("Blueberry", (63, 72, 128), 1.00, 0.12, 0),
    Fruit("Cantaloupe", (214, 178, 120), 1.05, 0.35, 7),
    Fruit("Cherry", (120, 16, 32), 1.02, 0.03, 0),
    Fruit("Kiwi", (121, 92, 55), 0.82, 0.30, 0),
    Fruit("Lemon", (240, 216, 58), 0.78, 0.14, 0),
    Fruit("Mango", (224, 148, 62), 0.80, 0.07, 2),
    Fruit("Orange", (235, 138, 32), 1.00, 0.18, 0),
    Fruit("Pear", (190, 196, 90), 0.70, 0.12, 0),
    Fruit("Plum", (92, 44, 86), 0.90, 0.05, 1),
    Fruit("Pomegranate", (178, 54, 60), 1.04, 0.16, 5),
    Fruit("Strawberry", (208, 36, 48), 0.86, 0.45, 0),
    Fruit("Watermelon", (70, 120, 58), 1.10, 0.10, 9),
)


def generate(folder: Path, count: int) -> Path:
    """Write ``count`` JPEGs of 100x100 into ``folder/<label>/<number>_100.jpg``; return the folder.

    Every second photo of a label has ``r_`` before its number, as one of another film in Fruits-360. Files
    that are there already are kept: they are the same.
    """
    root = folder / f"generated-{_VERSION}-{count}"
    for index, fruit in _assign(count):
        film = "r_" if index // len(FRUITS) % 2 else ""
        path = root / fruit.label / f"{film}{index}_100.jpg"
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        half.write_bytes(encode(photo(fruit, index)))
        half.rename(path)
    return root


def _assign(count: int) -> Iterator[tuple[int, Fruit]]:
    return ((index, FRUITS[index % len(FRUITS)]) for index in range(count))


def encode(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A photo as the JPEG that is written."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", quality=_QUALITY)
    return content.getvalue()


def photo(fruit: Fruit, index: int) -> npt.NDArray[np.uint8]:
    """One photo as uint8 RGB of shape (100, 100, 3)."""
    random = np.random.default_rng((FRUITS.index(fruit), index))
    y, x = np.mgrid[0:_SIDE, 0:_SIDE] / _SIDE - 0.5
    x, y = x - random.uniform(-0.06, 0.06), y - random.uniform(-0.06, 0.06)
    angle = random.uniform(0, 2 * np.pi)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    radius = random.uniform(0.30, 0.42)
    across = across / fruit.aspect
    distance = np.hypot(along, across) / radius
    inside = distance < 1

    light = random.uniform(0, 2 * np.pi)
    facing = x * np.cos(light) + y * np.sin(light)
    shade = 0.45 + 0.55 * np.sqrt(np.clip(1 - distance**2, 0, 1)) + 0.5 * facing
    if fruit.stripes:
        shade = shade * (1 + 0.18 * np.sin(np.arctan2(across, along) * fruit.stripes))
    shade = shade + fruit.speckle * 0.3 * random.standard_normal((_SIDE, _SIDE))

    tint = np.array(fruit.colour) + random.normal(0, 9, 3)
    background = np.array([random.uniform(205, 250)] * 3) + random.normal(0, 4, 3)
    pixels = np.where(inside[..., None], shade[..., None] * tint, background + 14 * facing[..., None])
    highlight = np.exp(-(((x + 0.12) ** 2 + (y + 0.12) ** 2) / 0.004)) * 70 * inside
    stem = (np.abs(across) < 0.015) & (along > radius * 0.9) & (along < radius * 1.25)
    pixels = np.where(stem[..., None], np.array([84, 62, 38]), pixels + highlight[..., None])
    pixels = pixels + random.normal(0, 3, pixels.shape)
    return np.clip(pixels, 0, 255).astype(np.uint8)
