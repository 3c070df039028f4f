"""Check on an x86-64 machine that the runtime and the models work on Graviton2 (aarch64, Neoverse N1).

    python -m artifacts.arm64_check [--photos FOLDER] [--count 12] [--image-size 224] [--model FOLDER]

Needs the tool ``arm64-check`` (an emulator around QEMU, and a check of glibc versions): the file that
``ARM64_CHECK`` names, or one on PATH, or ``../shared/tools/arm64-check/arm64-check``. Without it the check
says that it was skipped, and succeeds. Emulated arithmetic is exact, its speed says nothing.

An exported classifier in ``out/model`` must give its answers there as well.

Then the Python that is shipped to emr-6 must import the same and give the same float32 features; that part is
skipped where it cannot be built (``artifacts.debian``).
"""

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import Final

import numpy as np

from artifacts import ROOT, interpreter
from artifacts.archives import ArchiveError
from artifacts.debian import NoDebianError
from artifacts.runtime import build
from fruit_contract.model_files import IMAGE_SIZES, PRECISIONS, Precision, model_file
from fruit_spark.model.engines import Features
from local_run.generated_photos import generate

WORKER: Final = Path(__file__).with_name("arm64_worker.py")
BESIDE_THE_REPOSITORY: Final = ROOT.parent / "shared" / "tools" / "arm64-check" / "arm64-check"
EMULATOR: Final = ("qemu-aarch64-static", "-cpu", "neoverse-n1", "-r", "4.14.0")
"""For a program that brings its own libraries, on the kernel of Amazon Linux 2. ``arm64-check prepare``
installs it."""
EXACT_TOLERANCE: Final = 1e-4
"""Of a float32 feature, absolute: they are 0 to about 6."""
HALF_TOLERANCE: Final = 1e-2
"""Of a photo's float16 features: root mean square of the difference, as a share of its largest feature."""
HALF_COSINE: Final = 0.999
GENERATED: Final = 64
EXPORTED: Final = ROOT / "out" / "model"


class CheckFailedError(Exception):
    """What was found wrong, in one sentence."""


def find_tool() -> Path | None:
    """Where ``arm64-check`` is; None where it is not. ``CheckFailedError`` where it was named wrongly."""
    named = os.environ.get("ARM64_CHECK")
    if named:
        if not Path(named).is_file():
            raise CheckFailedError(f"ARM64_CHECK is {named!r}, which is no file: name the tool, or unset it")
        return Path(named)
    on_path = shutil.which("arm64-check")
    candidates = [Path(place) for place in (on_path, BESIDE_THE_REPOSITORY) if place]
    return next((place for place in candidates if place.is_file()), None)


def call(what: str, *command: str | Path) -> str:
    """What the command printed; ``CheckFailedError`` with its last line where it failed."""
    begun = time.monotonic()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no output"]
        raise CheckFailedError(f"{what} failed ({done.returncode}): {last[-1].strip()}")
    print(f"{what}: ok, {time.monotonic() - begun:.0f} s", flush=True)
    return done.stdout.strip()


def compare(precision: Precision, here: Features, there: Features) -> str:
    """The differences in words; ``CheckFailedError`` where they are above the tolerance."""
    if not np.isfinite(there).all() or (here.max(axis=1) < EXACT_TOLERANCE).any():
        raise CheckFailedError(
            f"There is nothing to compare: the {precision} features are all zero or not finite."
        )
    difference = np.abs(there.astype(np.float64) - here)
    lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(there, axis=1)
    cosine = float(((here * there).sum(axis=1) / lengths).min())
    rms = float((np.sqrt((difference**2).mean(axis=1)) / here.max(axis=1)).max())
    share = float((there == there.astype(np.float16)).mean())
    said = (
        f"{precision}, {len(here)} photos: largest difference {difference.max():.1e} (largest feature "
        f"{here.max():.2f}), at worst {rms:.1e} of a photo's largest feature in the root mean square, "
        f"lowest cosine {cosine:.5f}; {share:.1%} of the features are float16 numbers"
    )
    if precision == "float32" and difference.max() > EXACT_TOLERANCE:
        raise CheckFailedError(f"The features differ by more than {EXACT_TOLERANCE:g}: {said}.")
    if precision == "float16" and (rms > HALF_TOLERANCE or cosine < HALF_COSINE):
        raise CheckFailedError(
            f"The features differ by more than {HALF_TOLERANCE:g}, or cosine {HALF_COSINE:g}: {said}."
        )
    if precision == "float16" and share < 1:
        raise CheckFailedError(f"The half-precision kernels were not used on aarch64: {said}.")
    return said


def shipped_python(folder: Path) -> Path | None:
    """The archive of the Python for emr-6, built in ``folder``; None, and a word, where it cannot be."""
    try:
        return interpreter.build(folder, "aarch64")[0]
    except NoDebianError as missing:
        print(f"The Python for emr-6 is not checked. {missing}")
        return None


def emulated_python(archive: Path, folder: Path) -> Path:
    """The command of a shipped Python, unpacked into ``folder``, that runs it on the emulator."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder)
    command = folder / "bin" / "python3.11"
    script = command.read_text()
    start = 'exec "$home/lib/ld.so"'
    if script.count(start) != 1:
        raise CheckFailedError(f"{command.name} does not start by {start!r}: tell arm64_check how it does.")
    command.write_text(script.replace(start, f'exec {" ".join(EMULATOR)} "$home/lib/ld.so"'))
    return command


def check_shipped_python(
    archive: Path, runtime: Path, model: Path, image_size: int, photos: list[Path], expected: Features
) -> None:
    """The Python for emr-6 imports the runtime and gives the features that the other one gave."""
    python = emulated_python(archive, runtime.with_name("python"))
    worker = ("env", f"PYTHONPATH={runtime}", python, WORKER, runtime)
    print(call("imports on emr-6", *worker, "imports"))
    written = runtime.with_name("emr-6.npy")
    call("float32 on emr-6", *worker, "features", str(image_size), model, written, *photos)
    if not np.array_equal(np.load(written), expected):
        raise CheckFailedError("The Python for emr-6 gives other features than that of emr-7.")


def check_classifier(tool: Path, runtime: Path, classifier: Path, photos: list[Path]) -> str:
    """How far the answers of an exported classifier differ, in words; ``CheckFailedError`` where too far."""
    found: list[Features] = []
    for machine, worker in (
        (platform.machine(), (sys.executable, WORKER, runtime)),
        ("aarch64", (tool, "run", runtime, "--", WORKER, runtime)),
    ):
        written = runtime.with_name(f"{machine}-{classifier.stem}.npy")
        call(f"{classifier.name} on {machine}", *worker, "answers", classifier, written, *photos)
        found.append(np.load(written))
    here, there = found
    difference = float(np.abs(there - here).max())
    said = f"{classifier.name}, {len(here)} photos: largest difference {difference:.1e} of an answer"
    # Not below, rather than above: what is not finite is no less than anything.
    if not difference <= EXACT_TOLERANCE:
        raise CheckFailedError(f"The answers differ by more than {EXACT_TOLERANCE:g}: {said}.")
    return said


def check(
    tool: Path,
    archive: Path,
    python: Path | None,
    model: Path,
    classifiers: list[Path],
    photos: list[Path],
    image_size: int,
) -> None:
    """Every check in turn; ``CheckFailedError`` at the first that fails."""
    call("prepare", tool, "prepare")
    with tempfile.TemporaryDirectory() as scratch:
        runtime = Path(scratch) / "runtime"
        with tarfile.open(archive) as packed:
            packed.extractall(runtime)
        print(call("glibc", tool, "glibc", runtime))
        emulated = (tool, "run", runtime, "--", WORKER, runtime)
        print(call("imports", *emulated, "imports"))
        for precision in PRECISIONS:
            features: list[Features] = []
            for machine, worker in (
                (platform.machine(), (sys.executable, WORKER, runtime)),
                ("aarch64", emulated),
            ):
                written = Path(scratch) / f"{machine}-{precision}.npy"
                file = model / model_file("litert", precision)
                call(
                    f"{precision} on {machine}", *worker, "features", str(image_size), file, written, *photos
                )
                features.append(np.load(written))
            print(compare(precision, *features))
            if precision == "float32" and python:
                check_shipped_python(python, runtime, file, image_size, photos, features[-1])
        for classifier in classifiers:
            print(check_classifier(tool, runtime, classifier, photos))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m artifacts.arm64_check", description="Check runtime and models on emulated Graviton2."
    )
    parser.add_argument("--photos", type=Path, default=None, help="folder of JPEGs. Default: generated ones")
    parser.add_argument("--count", type=int, default=12, help="photos, evenly out of the folder. Default: 12")
    parser.add_argument("--image-size", type=int, choices=IMAGE_SIZES, default=224, help="Default: 224")
    parser.add_argument("--model", type=Path, default=ROOT / ".cache" / "model", help="model artifact")
    parser.add_argument(
        "--runtime", type=Path, default=ROOT / ".cache" / "runtime", help="folder to build in"
    )
    parser.add_argument(
        "--classifier", type=Path, default=EXPORTED, help="folder of `make export-model`, where it is there"
    )
    asked = parser.parse_args(arguments)
    try:
        tool = find_tool()
        if tool is None:
            print(
                "arm64-check: SKIPPED, nothing was checked. The tool is neither named by ARM64_CHECK "
                "nor on PATH nor in ../shared/tools."
            )
            return 0
        with tempfile.TemporaryDirectory() as scratch:
            folder = asked.photos or generate(Path(scratch), GENERATED)
            found = sorted(folder.rglob("*.jpg"))
            if not found:
                raise CheckFailedError(f"{folder} has no .jpg: give another folder")
            photos = found[:: max(1, len(found) // asked.count)][: asked.count]
            archive, _ = build(asked.runtime, "aarch64")
            python = shipped_python(asked.runtime)
            classifiers = sorted(asked.classifier.glob("*.tflite"))
            if not classifiers:
                print(f"No classifier is checked: {asked.classifier} has none of `make export-model`.")
            check(tool, archive, python, asked.model, classifiers, photos, asked.image_size)
    except (CheckFailedError, ArchiveError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print("arm64-check: OK")
    return 0


if __name__ == "__main__":
    sys.exit(main())
