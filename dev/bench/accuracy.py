"""``python -m bench.accuracy --images FOLDER``: what a precision or an image size costs the classifier.

Photos lie in one folder a label, and their names tell the films, as those of Fruits-360 do. Each photo is
judged by photos of other films alone. Writes the page for docs/evidence.
"""

import argparse
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from bench.bench_photos import images_below
from bench.contenders import CONTENDERS, LITERT, Networks, decoded
from bench.film_accuracy import COMPONENTS, Judged, Photo, difference, judge
from bench.measurements import MODEL
from evidence.marked_text import EVIDENCE, table, write
from fruit_contract.model_files import FACTS_FILE, IMAGE_SIZES
from fruit_spark.classifier.holdout import held_out
from fruit_spark.classifier.sessions import sessions_by
from fruit_spark.model.engines import Features

PAGE: Final = EVIDENCE / "image-size.md"

_INEXACT: Final = ("LiteRT float16", "OpenVINO bfloat16")
"""In float32 all have the same answers. Other halves of float32 have those of these two, as their cosines
in ``bench.engines`` show."""


class Side(NamedTuple):
    """What the features of all photos are made with."""

    contender: str
    size: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.accuracy", description=__doc__, allow_abbrev=False)
    parser.add_argument("--images", type=Path, required=True, help="photos, one folder a label")
    parser.add_argument("--keep", type=Path, help="folder that keeps features, so that a new start goes on")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruit-accuracy-") as folder:
        write(PAGE, report(given.images, given.keep or Path(folder)))
    return 0


def report(images: Path, kept: Path) -> list[str]:
    """The lines of the page: float32 at the largest size first, and all others against it."""
    paths = images_below(images)
    session_of = sessions_by(None)
    photos = [Photo(path.parent.name, session_of(str(path.relative_to(images)), None)) for path in paths]
    if not held_out(Counter((photo.label, photo.session) for photo in photos)):
        raise SystemExit(f"No label below {images} has two films: give photos as those of Fruits-360.")
    sizes = sorted(IMAGE_SIZES, reverse=True)
    sides = [Side(LITERT.name, size) for size in sizes] + [Side(name, sizes[0]) for name in _INEXACT]
    context = multiprocessing.get_context("spawn")
    with context.Pool(os.cpu_count()) as pool:
        files = pool.imap(partial(_kept_features, paths=paths, folder=kept), sides)
        judged = [judge(np.load(file), photos) for file in files]
    reference = judged[0]
    head = ["engine", "image size", f"variance kept by {COMPONENTS}", "right"]
    head += ["points against the first (95 % interval)", "photos gained, lost"]
    rows = [
        [name, str(size), *_cells(its, reference)] for (name, size), its in zip(sides, judged, strict=True)
    ]
    films, count = len(set(reference.sessions)), len(reference.right)
    weights = json.loads((MODEL / FACTS_FILE).read_text())["weights"]
    said = f"{count:,} of {len(photos):,} photos, of {films} films, are judged; weights: {weights}."
    return [said, "", *table(head, rows)]


def _cells(judged: Judged, reference: Judged) -> list[str]:
    cells = [f"{judged.variance:.2%}", f"{judged.right.mean():.1%}"]
    if judged is reference:
        return [*cells, "", ""]
    apart = difference(judged, reference)
    interval = f"({apart.low:+.1f} to {apart.high:+.1f})"
    return [*cells, f"{apart.points:+.1f} {interval}", f"{apart.gained:,}, {apart.lost:,}"]


def _kept_features(side: Side, paths: list[Path], folder: Path) -> Path:
    """The file with a side's features, named by all that they depend on."""
    named = "\n".join(map(str, (*side, *paths, (MODEL / FACTS_FILE).read_text())))
    file = folder / f"{side.contender} {side.size} {hashlib.sha256(named.encode()).hexdigest()[:16]}.npy"
    if not file.exists():
        features = _features(side, paths)
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as unfinished:
            np.save(unfinished, features)
        Path(unfinished.name).replace(file)
    return file


def _features(side: Side, paths: list[Path]) -> Features:
    """float32 [n, 1280], one photo a call."""
    [contender] = (each for each in CONTENDERS if each.name == side.contender)
    predict = contender.open(Networks(MODEL), 1, side.size)
    return np.concatenate([predict(decoded(path, side.size)[None]) for path in paths])


if __name__ == "__main__":
    sys.exit(main())
