"""Build the Python runtime that the Spark steps import on EMR, as one archive per processor.

    python -m artifacts.runtime --output .cache/runtime [--platform aarch64|x86_64]

``runtime-<platform>.tar.gz`` unpacks to what goes on PYTHONPATH. It is built on any machine, from wheels
only, pinned by hash in ``requirements/spark-runtime.txt``; the same pins give the same bytes. What the steps
never load stays out, for every node fetches the archive before it works.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from artifacts import ROOT, symbols
from artifacts.archives import ArchiveError, Member, build_once, command, recipe

REQUIREMENTS: Final = ROOT / "requirements" / "spark-runtime.txt"
GLIBC: Final = "manylinux_2_34"
"""Amazon Linux 2023, the system of emr-7.x, has glibc 2.34."""
OLDER_GLIBC: Final = {"opencv-python-headless": "manylinux_2_17"}
"""Where a package's wheel for an older system is the smaller one: OpenCV's by 5 MB, with the same pixels."""
PYTHON: Final = "3.11"

LIMIT: Final = 120_000_000
"""Bytes of an archive. Every node fetches and unpacks it before its first task, while it is paid for."""
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


def install(target: str, folder: Path) -> None:
    """Unpack the pinned wheels for ``target`` into ``folder``."""
    by_glibc: dict[str, list[str]] = {}
    for pin in re.split(r"\n(?=\w)", REQUIREMENTS.read_text()):
        by_glibc.setdefault(OLDER_GLIBC.get(pin.partition("==")[0], GLIBC), []).append(pin)
    for glibc, pins in by_glibc.items():
        call = [_uv(), "pip", "install", "--quiet", "--target", str(folder), "--link-mode", "copy"]
        call += ["--python-platform", f"{target}-{glibc}", "--python-version", PYTHON]
        call += ["--python", sys.executable, "--only-binary", ":all:"]
        # The file names every package that is needed, and each call sees a part of it.
        call += ["--no-deps", "--require-hashes", "--requirement", "-"]
        done = subprocess.run(call, input="\n".join(pins), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ArchiveError(f"uv could not install the wheels for {target}: {done.stderr.strip()}")


def _uv() -> str:
    beside = ROOT / ".venv" / "tools" / "bin" / "uv"
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise ArchiveError("uv was not found: run `make` once to make the set-up environment, or install uv.")
    return found


def is_kept(file: Path) -> bool:
    """Whether a file, relative to the top, is worth shipping."""
    name = file.as_posix()
    return not any(fnmatchcase(name, pattern) for patterns in NOT_SHIPPED.values() for pattern in patterns)


def members(folder: Path) -> Iterator[Member]:
    """What is shipped of ``folder``, without debuggers' symbols."""
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder)
        if is_kept(name):
            content = symbols.without_symbols(file.read_bytes())
            yield Member(name.as_posix(), content, os.access(file, os.X_OK))


def build(output: Path, target: str) -> tuple[Path, bool]:
    """The archive for ``target``, and whether it had to be built."""

    def shipped(folder: Path) -> Iterator[Member]:
        install(target, folder)
        return members(folder)

    archive = output / f"runtime-{target}.tar.gz"
    rules = (Path(__file__), Path(symbols.__file__))
    wanted = recipe(REQUIREMENTS.read_bytes(), target.encode(), *(path.read_bytes() for path in rules))
    remedy = (
        "pin smaller packages in requirements/spark-runtime.in, or leave out more in NOT_SHIPPED of "
        "deploy/artifacts/runtime.py"
    )
    return archive, build_once(archive, wanted, shipped, LIMIT, remedy)


def main(arguments: list[str] | None = None) -> int:
    return command("artifacts.runtime", "Build the Python runtime of the Spark steps.", build, arguments)


if __name__ == "__main__":
    sys.exit(main())
