"""``python -m bench.engines [--images FOLDER]``: what can run the network, side by side, for docs/evidence.

Each answer is compared with that of Keras. The sides take turns in an order drawn anew for each round, and
are compared within a round. Without ``--images`` the photos are generated.
"""

import argparse
import importlib.metadata
import os
import random
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.bench_photos import images_below, prepare_photos
from bench.contenders import CONTENDERS, KERAS, LITERT, Contender, Networks, Predict, decoded, write_onnx
from bench.engine_start import Start, measure_start
from bench.machine import describe
from bench.measurements import MODEL
from evidence.marked_text import EVIDENCE, table, write
from fruit_contract.model_files import IMAGE_SIZES
from fruit_spark.model.engines import Features

SIZE: Final = IMAGE_SIZES[-1]
PAGE: Final = EVIDENCE / "engines.md"
MULTIPLY_ADDS: Final = 300e6
"""Of MobileNetV2 1.0 for a photo of 224 pixels (Sandler et al., CVPR 2018, table 4)."""
_CHECKED: Final = 128
_CALL_PHOTOS: Final = 32
"""Photos that a side predicts in its turn."""
_STARTS: Final = 3
_MATRIX: Final = 1024
_PRODUCTS: Final = 10
"""In a turn, which is then about as long as those of the engines."""
_FACTS: Final = ("processor", "cores", "system", "BLAS of NumPy", "ai-edge-litert", "keras", "tensorflow")
_FURTHER: Final = ("onnxruntime", "openvino", "tf2onnx")
_FLAGS: Final = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_bf16",
    "asimdhp",
    "bf16",
)
"""Of /proc/cpuinfo: what a library chooses its kernels by."""


class Side(NamedTuple):
    """A contender at a number of photos a call."""

    contender: Contender
    batch: int


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.engines", description=__doc__, allow_abbrev=False)
    parser.add_argument("--images", type=Path, help="photos, one folder a label. Default: generated")
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruit-engines-") as folder:
        write(PAGE, report(Path(folder), given.images, given.rounds))
    return 0


def report(folder: Path, images: Path | None, rounds: int) -> list[str]:
    """The lines of the page."""
    paths = prepare_photos(folder / "photos", _CHECKED) if images is None else images_below(images)
    networks = write_onnx(MODEL, folder / "onnx")
    sample = random.Random(0).sample(paths, min(_CHECKED, len(paths)))
    photos = np.stack([decoded(path, SIZE) for path in sample])
    reference = _answers(KERAS, networks, photos)
    cosines = {each.name: _cosines(_answers(each, networks, photos), reference) for each in CONTENDERS}
    origin = "generated" if images is None else "real"
    lines = [f"Answers: {len(sample)} {origin} photos of {len({path.parent for path in sample})} labels.", ""]
    lines += [*_speeds(networks, photos, cosines, rounds), "", *_costs(networks), ""]
    facts = describe() | {name: importlib.metadata.version(name) for name in _FURTHER}
    facts["of the processor"] = ", ".join(sorted(_flags() & set(_FLAGS)))
    return lines + table(["", ""], ([name, facts[name]] for name in (*_FACTS, *_FURTHER, "of the processor")))


def _in_batches(predict: Predict, photos: Features, batch: int) -> Features:
    """A remainder is left out: most engines are loaded for one number of photos a call."""
    whole = len(photos) - len(photos) % batch
    return np.concatenate([predict(photos[first : first + batch]) for first in range(0, whole, batch)])


# --- answers ----------------------------------------------------------------------------------


def _answers(contender: Contender, networks: Networks, photos: Features) -> Features:
    """float32 [n, 1280]."""
    batch = contender.batches[0]
    return _in_batches(contender.open(networks, batch, SIZE), photos, batch)


def _cosines(ours: Features, reference: Features) -> npt.NDArray[np.float64]:
    """Of each photo, [n]."""
    one, other = ours[: len(reference)].astype(np.float64), reference.astype(np.float64)
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / lengths)


# --- speed ------------------------------------------------------------------------------------


def _speeds(
    networks: Networks, photos: Features, cosines: Mapping[str, npt.NDArray[np.float64]], rounds: int
) -> Iterator[str]:
    """A row a side: its speed over that of LiteRT in float32 with one photo a call, by round."""
    sides = [Side(contender, batch) for contender in CONTENDERS for batch in contender.batches]
    jobs: dict[Side | None, Callable[[], object]] = {side: _job(side, networks, photos) for side in sides}
    jobs[None] = _multiply  # what the core can do at most
    seconds = _in_turns(jobs, rounds)
    reference = seconds[Side(LITERT, LITERT.batches[0])]
    rows = []
    for side in sides:
        ratios = [ours / its for ours, its in zip(reference, seconds[side], strict=True)]
        cosine = cosines[side.contender.name]
        rows.append(
            [
                *(side.contender.library, side.contender.precision, str(side.batch)),
                f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
                f"{_CALL_PHOTOS / median(seconds[side]):.0f}",
                f"{cosine.mean():.5f}, {cosine.min():.5f}",
            ]
        )
    yield from table(
        [
            *("engine", "precision", "photos a call", "speed over LiteRT float32, one a call (all rounds)"),
            *("photos a second of a core", "cosine with Keras: mean, lowest"),
        ],
        rows,
    )
    reached = [_CALL_PHOTOS * 2 * MULTIPLY_ADDS / its / 1e9 for its in reference]
    most = [_PRODUCTS * 2 * _MATRIX**3 / its / 1e9 for its in seconds[None]]
    share = median(ours / its for ours, its in zip(reached, most, strict=True))
    yield ""
    yield (
        f"LiteRT in float32 does {median(reached):.0f} GFLOP a second. A product of two float32 matrices "
        f"of {_MATRIX:,} rows does {median(most):.0f} on the same core, in OpenBLAS. LiteRT reaches "
        f"{share:.0%} of that."
    )


def _job(side: Side, networks: Networks, photos: Features) -> Callable[[], object]:
    predict, some = side.contender.open(networks, side.batch, SIZE), photos[:_CALL_PHOTOS]
    return lambda: _in_batches(predict, some, side.batch)


def _multiply() -> None:
    from threadpoolctl import threadpool_limits

    matrix = np.ones((_MATRIX, _MATRIX), np.float32)
    with threadpool_limits(1):
        for _ in range(_PRODUCTS):
            np.matmul(matrix, matrix)


def _in_turns(
    jobs: Mapping[Side | None, Callable[[], object]], rounds: int
) -> dict[Side | None, list[float]]:
    """Seconds of the processor, of all threads: others who use the machine lengthen the clock's seconds."""
    seconds: dict[Side | None, list[float]] = {name: [] for name in jobs}
    order, chance = list(jobs), random.Random(0)
    for job in jobs.values():
        job()
    for _ in range(rounds):
        chance.shuffle(order)
        for name in order:
            started = time.process_time()
            jobs[name]()
            seconds[name].append(time.process_time() - started)
    return seconds


# --- start-up, memory, size -------------------------------------------------------------------


def _costs(networks: Networks) -> list[str]:
    rows = []
    for contender in CONTENDERS:
        starts = [measure_start(contender, networks, SIZE) for _ in range(_STARTS)]
        middle = Start(*map(median, zip(*starts, strict=True)))
        installed, packed = _sizes(contender.package) if contender.precision == "float32" else (0.0, 0.0)
        sizes = [f"{installed:.0f} MB", f"{packed:.0f} MB"] if installed else ["", ""]
        rows.append([contender.name, f"{middle.seconds:.2f} s", f"{middle.mib:.0f} MiB", *sizes])
    return table(["engine", "start to first features", "memory added", "installed", "in an archive"], rows)


def _sizes(package: str) -> tuple[float, float]:
    """MB of a package's files without what it requires: as installed, and each one compressed."""
    files = [Path(str(file.locate())) for file in importlib.metadata.files(package) or []]
    contents = [file.read_bytes() for file in files if file.is_file() and file.suffix != ".pyc"]
    return sum(map(len, contents)) / 1e6, sum(len(zlib.compress(one)) for one in contents) / 1e6


def _flags() -> set[str]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    named = (line.partition(":")[2].split() for line in lines if line.startswith(("flags", "Features")))
    return set(next(named, []))


if __name__ == "__main__":
    # TensorFlow says a great deal on a machine without a graphics card.
    os.environ |= {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    sys.exit(main())
