"""The map of a result: a sample of its photos by their first components."""

import math
from collections.abc import Sequence
from itertools import combinations, groupby
from os.path import commonprefix
from typing import Final, TypedDict

from fruit_contract.overview import SampledPhoto

DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_LEVELS: Final = len(DIGITS) ** 2
_LEAST_PHOTOS: Final = 5
_MOST_COMPARED: Final = 150


class MapData(TypedDict):
    """The sample as the page's script reads it: 25 bytes a photo, where the plain form takes 100."""

    labels: list[str]
    counts: list[int]
    """Photos by label; they follow one another in this order."""
    prefixes: list[str]
    """What all keys of a label begin with."""
    keys: list[str]
    """The rest of each key."""
    dimensions: int
    digits: str
    points: str
    """Two of ``digits`` for each component of each photo: its place between the least and the largest."""


class Overlap(TypedDict):
    """Two labels whose photos lie close together."""

    labels: tuple[str, str]
    distance: float
    """Between their centres, in units of their common deviation."""


def map_data(sample: Sequence[SampledPhoto]) -> MapData:
    """``sample`` is sorted by label, as an overview has it."""
    dimensions = min((len(photo["components"]) for photo in sample), default=0)
    columns = list(zip(*(photo["components"] for photo in sample), strict=False))
    places = [_digits(column) for column in columns]
    data = MapData(
        labels=[],
        counts=[],
        prefixes=[],
        keys=[],
        dimensions=dimensions,
        digits=DIGITS,
        points="".join(map("".join, zip(*places, strict=True))),
    )
    for label, photos in groupby(sample, key=lambda photo: photo["label"]):
        keys = [photo["key"] for photo in photos]
        # Character by character: it need not be a folder.
        prefix = commonprefix(keys) if len(keys) > 1 else keys[0].rpartition("/")[0]  # noqa: RUF071
        data["labels"].append(label)
        data["counts"].append(len(keys))
        data["prefixes"].append(prefix)
        data["keys"] += [key.removeprefix(prefix) for key in keys]
    return data


def _digits(column: Sequence[float]) -> list[str]:
    low, high = min(column), max(column)
    places = (round((value - low) / ((high - low) or 1) * (_LEVELS - 1)) for value in column)
    return [DIGITS[place // len(DIGITS)] + DIGITS[place % len(DIGITS)] for place in places]


def overlaps(sample: Sequence[SampledPhoto], most: int = 5) -> list[Overlap]:
    """The pairs of labels that lie closest together on the map's components, the closest first.

    Labels with few sampled photos are left out: their centre says little.
    """
    centres = []
    for label, group in groupby(sample, key=lambda photo: photo["label"]):
        rows = [photo["components"] for photo in group]
        if len(rows) >= _LEAST_PHOTOS:
            centre = [math.fsum(column) / len(rows) for column in zip(*rows, strict=False)]
            spread = math.fsum(math.dist(row[: len(centre)], centre) ** 2 for row in rows) / len(rows)
            centres.append((len(rows), label, centre, spread))
    largest = sorted(centres, key=lambda each: (-each[0], each[1]))[:_MOST_COMPARED]
    pairs = [
        Overlap(labels=(one, other), distance=math.dist(here, there) / (math.sqrt((r + s) / 2) or 1))
        for (_, one, here, r), (_, other, there, s) in combinations(
            sorted(largest, key=lambda each: each[1]), 2
        )
    ]
    return sorted(pairs, key=lambda pair: pair["distance"])[:most]
