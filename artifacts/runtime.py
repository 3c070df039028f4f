"""Build the Python runtime that the Spark steps import on EMR, as one archive per processor.

    python -m artifacts.runtime --output .cache/runtime [--platform aarch64|x86_64]

``runtime-<platform>.tar.gz`` unpacks to what goes on PYTHONPATH. It is built on any machine, from wheels
only, pinned by hash in ``requirements/spark-runtime.txt``; the same pins give the same bytes. What the steps
never load stays out, for every node fetches the archive before it works.
"""

import argparse
import gzip
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from artifacts import symbols
from artifacts.atomic import atomic_file

ROOT: Final = Path(__file__).resolve().parent.parent
PLATFORMS: Final = ("aarch64", "x86_64")
GLIBC: Final = "manylinux_2_34"
"""Amazon Linux 2023, the system of emr-7.x, has glibc 2.34."""
OLDER_GLIBC: Final = {"opencv-python-headless": "manylinux_2_17"}
"""Where a package's wheel for an older system is the smaller one: OpenCV's by 5 MB, with the same pixels."""
PYTHON: Final = "3.11"

LIMIT: Final = 120_000_000
"""Bytes of an archive. Every node fetches and unpacks it before its first task, while it is paid for."""
COMPRESSION_LEVEL: Final = 9

NOT_SHIPPED: Final = {
    "commands, manual pages": ("bin/*", "share/*"),
    # The hashes in RECORD are of commands too, and these name the interpreter of the machine that builds.
    "what the installer notes for itself": (".lock", "*.dist-info/RECORD"),
    "compiled files, which name the time they were made": ("*/__pycache__/*",),
    "what compiles or describes a module, and is none": (
        *("*/include/*", "*.h", "*.hpp", "*.c", "*.cc", "*.cpp"),
        *("*.pyi", "*.pyx", "*.pxd", "*.pxi", "*.a", "*.lib"),
    ),
    # numpy.testing and its kind stay: libraries import them.
    "tests, and the modules that only they import": (
        *("*/tests/*", "numpy/_core/_*_tests.*", "numpy/_core/_simd.*", "pyarrow/_pyarrow_cpp_tests.*"),
    ),
    "copies of a library under names that nothing loads: libarrow_python.so.1900 is what is linked to": (
        *("pyarrow/libarrow_python*.so", "pyarrow/libarrow_python*.so.*.*.*"),
    ),
    "Arrow's RPC layer, loaded by pyarrow.flight alone": ("pyarrow/*arrow*_flight.so*", "pyarrow/_flight.*"),
    "compilers for the processors of phones": ("ai_edge_litert/vendors/*", "ai_edge_litert/tools/*"),
    "the cascades of OpenCV's face detectors": ("cv2/data/haar*",),
    # Its list of glyphs is imported with matplotlib, and needs misc.
    "fontTools, with which matplotlib writes PDF and PostScript": ("fontTools/[!m]*/*", "fontTools/*.so"),
    "fonts and images that no PNG of a DejaVu Sans plot takes": (
        *("*.afm", "*.pdf"),
        *("matplotlib/mpl-data/fonts/ttf/DejaVuSerif*", "matplotlib/mpl-data/sample_data/*"),
    ),
    "Pillow's own text, colour profiles and AVIF: matplotlib draws text itself, the steps refuse AVIF": (
        *("PIL/_imagingft.*", "PIL/_imagingcms.*", "PIL/_imagingtk.*", "PIL/_avif.*"),
        *("pillow.libs/libfreetype*", "pillow.libs/libharfbuzz*", "pillow.libs/libpng16*"),
        *("pillow.libs/libbrotli*", "pillow.libs/liblcms2*", "pillow.libs/libavif*"),
    ),
}
"""Why something stays out, and what: patterns of names from the top. The licences of what is shipped stay."""


class RuntimeArchiveError(Exception):
    """The archive cannot be built; the message says why."""


def recipe(requirements: Path, target: str) -> str:
    """Fingerprint of everything the archive follows from: pins, target, and the rules of its making."""
    rules = (Path(__file__), Path(symbols.__file__))
    made_of = (requirements.read_bytes(), target.encode(), *(path.read_bytes() for path in rules))
    return hashlib.sha256(b"\0".join(made_of)).hexdigest()


def install(requirements: Path, target: str, folder: Path) -> None:
    """Unpack the pinned wheels for ``target`` into ``folder``."""
    by_glibc: dict[str, list[str]] = {}
    for pin in re.split(r"\n(?=\w)", requirements.read_text()):
        by_glibc.setdefault(OLDER_GLIBC.get(pin.partition("==")[0], GLIBC), []).append(pin)
    for glibc, pins in by_glibc.items():
        command = [_uv(), "pip", "install", "--quiet", "--target", str(folder), "--link-mode", "copy"]
        command += ["--python-platform", f"{target}-{glibc}", "--python-version", PYTHON]
        command += ["--python", sys.executable, "--only-binary", ":all:"]
        # The file names every package that is needed, and each call sees a part of it.
        command += ["--no-deps", "--require-hashes", "--requirement", "-"]
        done = subprocess.run(command, input="\n".join(pins), capture_output=True, text=True, check=False)
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
    name = file.as_posix()
    return not any(fnmatchcase(name, pattern) for patterns in NOT_SHIPPED.values() for pattern in patterns)


def pack(folder: Path, archive: Path) -> None:
    """Write ``folder`` as a tar.gz without times, owners, symbols or chance in its order."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_kept(path.relative_to(folder)))
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
    ):
        for file in files:
            content = symbols.without_symbols(file.read_bytes())
            entry = tarfile.TarInfo(file.relative_to(folder).as_posix())
            entry.size = len(content)
            entry.mode = 0o755 if os.access(file, os.X_OK) else 0o644
            tar.addfile(entry, io.BytesIO(content))


def check_size(size: int, name: str) -> None:
    """``RuntimeArchiveError`` above :data:`LIMIT`; ``size`` in bytes."""
    if size > LIMIT:
        raise RuntimeArchiveError(
            f"{name} would have {size / 1e6:.1f} MB and may have {LIMIT / 1e6:.0f}: pin smaller packages in "
            "requirements/spark-runtime.in, or leave out more in NOT_SHIPPED of artifacts/runtime.py."
        )


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
            check_size(part.stat().st_size, archive.name)
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
