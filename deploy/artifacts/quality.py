"""Measure what each precision and image size costs and keeps, and record it in the documentation.

    python -m artifacts.quality [--photos FOLDER] [--model FOLDER] [--docs docs/evidence]

Writes ``precision.json`` and the table in ``precision.md``. Photos lie in one folder per label; without
``--photos`` they are generated, and the record says so: the labels of generated photos are easy.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from artifacts import ROOT
from artifacts.atomic import write_atomically
from evidence.marked_text import EVIDENCE, table, write
from fruit_contract.model_files import FACTS_FILE, IMAGE_SIZES, PRECISIONS, model_file
from fruit_spark.model.engines import Features, LiteRtEngine
from local_run.generated_photos import generate

COMPONENTS: Final = 256
GENERATED: Final = 1_000
PHOTOS_PER_TIMING: Final = 32


@dataclass(frozen=True)
class Mode:
    """One precision at one image size, as measured. Agreements are in percent of the photos."""

    precision: str
    image_size: int
    images_per_second: float
    """Decode, resize and predict on one thread: the fastest group of 32 photos, as others use the machine."""
    cosine_mean: float
    """Of a photo's features with those of float32 at 224 pixels; the mean over the photos."""
    cosine_lowest: float
    explained_variance: float
    """Share of the variance that the first 256 principal components keep."""
    agreement: float
    """Photos whose nearest other photo, by cosine similarity of the features, has the same label."""
    agreement_components: float
    """The same on the components, as the reduce step publishes them (the mean is not subtracted)."""
    gained: int
    """Photos that agree on the components, and do not in float32 at 224 pixels."""
    lost: int
    """The reverse. Gained and lost in about equal numbers are chance."""


def featurize(engine: LiteRtEngine, files: list[bytes], size: int) -> tuple[Features, float]:
    """Features of JPEG files, float32 [n, 1280], and images per second."""
    features, speeds = [], []
    for first in range(0, len(files), PHOTOS_PER_TIMING):
        group = files[first : first + PHOTOS_PER_TIMING]
        begun = time.perf_counter()
        features.append(engine.predict(np.stack([engine.decode(data, size) for data in group])))
        speeds.append(len(group) / (time.perf_counter() - begun))
    return np.concatenate(features), max(speeds)


def unit_rows(vectors: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Rows of length 1, float64."""
    rows = vectors.astype(np.float64)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def nearest_agrees(vectors: npt.NDArray[Any], labels: list[str]) -> npt.NDArray[np.bool_]:
    """For each row, whether its nearest other row by cosine similarity has its label."""
    rows = unit_rows(vectors)
    similarity = rows @ rows.T
    np.fill_diagonal(similarity, -np.inf)
    names = np.array(labels)
    agrees: npt.NDArray[np.bool_] = names[similarity.argmax(axis=1)] == names
    return agrees


def principal_components(
    features: Features, count: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The first ``count`` components, [1280, count], and every explained variance ratio, descending."""
    ratio, vectors = np.linalg.eigh(np.cov(features.astype(np.float64), rowvar=False))
    return vectors[:, ::-1][:, :count], ratio[::-1] / ratio.sum()


def measure(model: Path, photos: list[Path]) -> list[Mode]:
    """Every precision at every image size, the best of them first."""
    files, labels = [photo.read_bytes() for photo in photos], [photo.parent.name for photo in photos]
    modes: list[Mode] = []
    reference: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]] | None = None
    for size in reversed(IMAGE_SIZES):
        for precision in PRECISIONS:
            engine = LiteRtEngine((model / model_file("litert", precision)).read_bytes(), size)
            features, speed = featurize(engine, files, size)
            components, ratio = principal_components(features, COMPONENTS)
            agrees = nearest_agrees(features @ components, labels)
            if reference is None:  # the first mode is float32 at 224
                reference = unit_rows(features), agrees
            cosine = (unit_rows(features) * reference[0]).sum(axis=1)
            modes.append(
                Mode(
                    precision=precision,
                    image_size=size,
                    images_per_second=round(speed, 1),
                    cosine_mean=round(float(cosine.mean()), 5),
                    cosine_lowest=round(float(cosine.min()), 5),
                    explained_variance=round(float(ratio[:COMPONENTS].sum()), 5),
                    agreement=round(100 * float(nearest_agrees(features, labels).mean()), 2),
                    agreement_components=round(100 * float(agrees.mean()), 2),
                    gained=int((agrees & ~reference[1]).sum()),
                    lost=int((reference[1] & ~agrees).sum()),
                )
            )
            print(modes[-1], flush=True)
    return modes


def lines(record: dict[str, Any]) -> Iterator[str]:
    """The record as Markdown: a sentence on what was measured, and a row a mode."""
    yield f"{record['photos']}; weights: {record['weights']}; one thread on {record['processor']}."
    yield ""
    head = ["precision", "image size", "images/s", "cosine to float32 at 224: mean, lowest"]
    head += [f"variance kept by {COMPONENTS}", "1-NN agreement: features, components", "photos gained, lost"]
    yield from table(head, map(_row, record["modes"]))


def _row(mode: dict[str, Any]) -> tuple[str, ...]:
    return (
        mode["precision"],
        str(mode["image_size"]),
        f"{mode['images_per_second']:.0f}",
        f"{mode['cosine_mean']:.4f}, {mode['cosine_lowest']:.4f}",
        f"{mode['explained_variance']:.2%}",
        f"{mode['agreement']:.2f} %, {mode['agreement_components']:.2f} %",
        f"{mode['gained']}, {mode['lost']}",
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m artifacts.quality", description="Measure precisions and image sizes."
    )
    parser.add_argument("--photos", type=Path, default=None, help="folder of JPEGs, one sub-folder per label")
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "model", help="model artifact")
    parser.add_argument("--docs", type=Path, default=EVIDENCE, help="folder of precision.md")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.photos or generate(Path(scratch), GENERATED)
        photos = sorted(folder.glob("*/*.jpg"))
        if len(photos) <= COMPONENTS:
            print(
                f"error: {folder} has {len(photos)} photos in sub-folders, more than {COMPONENTS} are "
                "needed: give another folder.",
                file=sys.stderr,
            )
            return 1
        labels = len({photo.parent for photo in photos})
        modes = measure(asked.model, photos)
    record = {
        "photos": f"{len(photos):,} {'real' if asked.photos else 'generated'} photos of {labels} labels",
        "weights": json.loads((asked.model / FACTS_FILE).read_text())["weights"],
        "processor": platform.machine(),
        "components": COMPONENTS,
        "modes": [asdict(mode) for mode in modes],
    }
    write(asked.docs / "precision.md", lines(record))
    write_atomically(asked.docs / "precision.json", (json.dumps(record, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
