"""Build the Python runtime that the Spark steps import on EMR, as one archive per processor.

    python -m artifacts.runtime --output .cache/runtime [--platform aarch64|x86_64]

``runtime-<platform>.tar.gz`` unpacks to what goes on PYTHONPATH. It is built on any machine, from wheels
only, pinned by hash in ``requirements/spark-runtime.txt``; the same pins give the same bytes.
"""

import argparse
import gzip
import hashlib
import io
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

from artifacts.atomic import atomic_file

ROOT: Final = Path(__file__).resolve().parent.parent
PLATFORMS: Final = ("aarch64", "x86_64")
GLIBC: Final = "manylinux_2_34"
"""Amazon Linux 2023, the system of emr-7.x, has glibc 2.34."""
PYTHON: Final = "3.11"

# Never imported by the steps: compiled files name the time they were made, tests and headers are not code.
STRIPPED_FOLDERS: Final = frozenset({"__pycache__", "tests", "include", "sample_data"})
STRIPPED_SUFFIXES: Final = (".pyi", ".pyx", ".pxd", ".h", ".hpp", ".a", ".lib", ".afm", ".pdf")
# Arrow's RPC layer is loaded only by pyarrow.flight; the cascades only by cv2's face detectors.
STRIPPED_FILES: Final = (
    "pyarrow/libarrow_flight",
    "pyarrow/libarrow_python_flight",
    "pyarrow/_flight",
    "cv2/data/haar",
)
COMPRESSION_LEVEL: Final = 6


class RuntimeArchiveError(Exception):
    """The archive cannot be built; the message says why."""


def recipe(requirements: Path, target: str) -> str:
    """Fingerprint of everything the archive follows from: pins, target, and this module's rules."""
    made_of = (requirements.read_bytes(), target.encode(), Path(__file__).read_bytes())
    return hashlib.sha256(b"\0".join(made_of)).hexdigest()


def install(requirements: Path, target: str, folder: Path) -> None:
    """Unpack the pinned wheels for ``target`` into ``folder``."""
    command = [_uv(), "pip", "install", "--quiet", "--target", str(folder), "--link-mode", "copy"]
    command += [
        "--python-platform",
        f"{target}-{GLIBC}",
        "--python-version",
        PYTHON,
        "--only-binary",
        ":all:",
    ]
    command += ["--python", sys.executable, "--require-hashes", "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeArchiveError(f"uv could not install the wheels for {target}: {done.stderr.strip()}")


def _uv() -> str:
    beside = ROOT / ".venv" / "tools" / "bin" / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise RuntimeArchiveError(
            "uv was not found: run `make` once to make the set-up environment, or install uv."
        )
    return found


def is_kept(file: Path) -> bool:
    """Whether a file, relative to the top, is worth shipping."""
    if file.parts[0] == "bin" or file.name == ".lock":
        return False
    # numpy.testing and its kind stay: libraries import them. Folders of tests are not imported.
    if any(part in STRIPPED_FOLDERS for part in file.parts[:-1]):
        return False
    return not file.name.endswith(STRIPPED_SUFFIXES) and not file.as_posix().startswith(STRIPPED_FILES)


def pack(folder: Path, archive: Path) -> None:
    """Write ``folder`` as a tar.gz without times, owners or chance in its order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_kept(path.relative_to(folder)))
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            content = file.read_bytes()
            entry = tarfile.TarInfo(file.relative_to(folder).as_posix())
            entry.size = len(content)
            entry.mode = 0o755 if os.access(file, os.X_OK) else 0o644
            tar.addfile(entry, io.BytesIO(content))


def build(output: Path, target: str, requirements: Path) -> tuple[Path, bool]:
    """The archive for ``target``, and whether it had to be built."""
    archive = output / f"runtime-{target}.tar.gz"
    stamp = output / f"runtime-{target}.recipe"
    wanted = recipe(requirements, target)
    if archive.exists() and stamp.exists() and stamp.read_text().strip() == wanted:
        return archive, False
    with tempfile.TemporaryDirectory() as scratch:
        install(requirements, target, Path(scratch))
        with atomic_file(archive) as part:
            pack(Path(scratch), part)
    with atomic_file(stamp) as part:
        part.write_text(f"{wanted}\n")
    return archive, True


def main(arguments: list[str] | None = None) -> int:
    machine = platform.machine()
    parser = argparse.ArgumentParser(
        prog="python -m artifacts.runtime", description="Build the Python runtime archive of the Spark steps."
    )
    parser.add_argument("--output", type=Path, default=ROOT / ".cache" / "runtime", help="folder to write")
    parser.add_argument(
        "--platform",
        choices=PLATFORMS,
        default=machine if machine in PLATFORMS else "x86_64",
        help="processor: aarch64 for Graviton. Default: this machine's",
    )
    parser.add_argument(
        "--requirements",
        type=Path,
        default=ROOT / "requirements" / "spark-runtime.txt",
        help="hash-locked packages",
    )
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        archive, built = build(asked.output, asked.platform, asked.requirements)
    except (RuntimeArchiveError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    how = f"built in {time.monotonic() - begun:.0f} s" if built else "already built"
    print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB, {how}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
