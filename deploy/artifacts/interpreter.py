"""Build the Python that EMR releases of the sixth line lack, as one archive per processor.

    python -m artifacts.interpreter --output .cache/runtime [--platform aarch64|x86_64]

Amazon Linux 2 has Python 3.7, glibc 2.26 and a libstdc++ of GCC 7, and the wheels of the runtime ask for
more of each. ``python-<platform>.tar.gz`` brings Debian 12's: Python 3.11 with the C and C++ libraries that
it was built for, and their loader. ``bin/python3.11`` starts the loader, which takes what is linked to from
the archive, and nothing of the system's. The runtime is the same on every release.
"""

import sys
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from artifacts import debian
from artifacts.archives import ArchiveError, Member, build_once, command, recipe

LIBRARIES: Final = {
    "libbz2-1.0": ("libbz2.so.1.0",),
    "libc6": (
        # Since 2.34 all but libc.so.6 and libm.so.6 are empty; what was built earlier still names them.
        *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "libresolv.so.2", "librt.so.1"),
        "libutil.so.1",
    ),
    "libexpat1": ("libexpat.so.1",),
    "libffi8": ("libffi.so.8",),
    "libgcc-s1": ("libgcc_s.so.1",),
    "liblzma5": ("liblzma.so.5",),
    "libssl3": ("libcrypto.so.3", "libssl.so.3"),
    "libstdc++6": ("libstdc++.so.6",),
    "libuuid1": ("libuuid.so.1",),
    "zlib1g": ("libz.so.1",),
}
"""Packages of what Python and the runtime's wheels link to, and the names that they link to."""
_LOADERS: Final = {"aarch64": "lib/ld-linux-aarch64.so.1", "x86_64": "lib64/ld-linux-x86-64.so.2"}
_COMMAND: Final = Path(__file__).with_name("interpreter.sh")
_STANDARD_LIBRARY: Final = Path("lib/python3.11")
NOT_SHIPPED: Final = {
    "what asks for libraries that are not shipped: databases, terminals, sound": (
        *("*/_sqlite3.*", "*/_curses*", "*/_dbm.*", "*/readline.*", "*/nis.*", "*/_crypt.*"),
        *("*/ossaudiodev.*", "*/sqlite3/*", "*/curses/*", "*/dbm/*"),
    ),
    "tests": ("*/test/*", "*/_test*", "*/_xxtest*", "*/xxlimited*", "*/unittest/test/*"),
    "what explains or draws": ("*/pydoc_data/*", "*/turtle.py"),
    "what Debian adds for its own packages": ("*/EXTERNALLY-MANAGED", "*/sitecustomize.py"),
}
"""Why something of the standard library stays out, and what: patterns of names from the top."""

LIMIT: Final = 12_000_000
"""Bytes of an archive: every node fetches it beside the runtime."""


def members(root: Path, target: str) -> Iterator[Member]:
    """What is shipped of packages laid out below ``root``."""
    found: dict[str, tuple[Path, bool]] = {
        "bin/python3.11": (_COMMAND, True),
        "lib/ld.so": (root / _LOADERS[target], True),
        "lib/python3.11.bin": (root / "usr" / "bin" / "python3.11", True),
    }
    for package, names in LIBRARIES.items():
        found[f"licences/{package}"] = (root / "usr" / "share" / "doc" / package / "copyright", False)
        for name in names:
            found[f"lib/{name}"] = (_library(root, target, name), False)
    # One for all that is Python's; GCC's is that of its base package, which libgcc-s1's doc folder links to.
    found["licences/python3.11"] = (root / "usr" / "lib" / "python3.11" / "LICENSE.txt", False)
    for file in (root / "usr" / _STANDARD_LIBRARY).rglob("*"):
        shipped = file.relative_to(root / "usr").as_posix()
        if file.is_file() and _is_kept(shipped):
            found[shipped] = (file, False)
    for name in sorted(found):
        file, executable = found[name]
        yield Member(name, file.read_bytes(), executable)


def _library(root: Path, target: str, name: str) -> Path:
    for folder in ("lib", "usr/lib"):
        file = root / folder / f"{target}-linux-gnu" / name
        if file.exists():
            return file
    raise ArchiveError(f"{name} is in none of the packages of {debian.LIST.name}: pin the one that has it.")


def _is_kept(name: str) -> bool:
    return not any(fnmatchcase(name, pattern) for patterns in NOT_SHIPPED.values() for pattern in patterns)


def build(output: Path, target: str) -> tuple[Path, bool]:
    """The archive for ``target``, and whether it had to be built."""

    def shipped(folder: Path) -> Iterator[Member]:
        pinned = [package for package in debian.read_list(debian.LIST) if package.platform == target]
        debian.unpack(pinned, folder)
        return members(folder, target)

    archive = output / f"python-{target}.tar.gz"
    made_of = (debian.LIST, _COMMAND, Path(__file__), Path(debian.__file__))
    wanted = recipe(target.encode(), *(path.read_bytes() for path in made_of))
    remedy = "leave out more in NOT_SHIPPED of deploy/artifacts/interpreter.py"
    return archive, build_once(archive, wanted, shipped, LIMIT, remedy)


def main(arguments: list[str] | None = None) -> int:
    return command("artifacts.interpreter", "Build the Python that emr-6 lacks.", build, arguments)


if __name__ == "__main__":
    sys.exit(main())
