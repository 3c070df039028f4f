"""Archives that nodes unpack: the same content gives the same bytes, and what is built already is kept."""

import argparse
import gzip
import hashlib
import io
import platform
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from artifacts import ROOT
from artifacts.atomic import atomic_file

PLATFORMS: Final = ("aarch64", "x86_64")
COMPRESSION_LEVEL: Final = 9


class ArchiveError(Exception):
    """The archive cannot be built; the message says why."""


class Member(NamedTuple):
    """A file of an archive."""

    name: str
    content: bytes
    executable: bool


def pack(members: Iterable[Member], archive: Path) -> None:
    """Write a tar.gz without times, owners or chance in it; the members come in the order of their names."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", COMPRESSION_LEVEL, raw, mtime=0) as packed,
        tarfile.open(mode="w", fileobj=packed, format=tarfile.PAX_FORMAT) as tar,
    ):
        for member in members:
            entry = tarfile.TarInfo(member.name)
            entry.size = len(member.content)
            entry.mode = 0o755 if member.executable else 0o644
            tar.addfile(entry, io.BytesIO(member.content))


def recipe(*made_of: bytes) -> str:
    """Fingerprint of everything an archive follows from: pins, target, and the rules of its making."""
    return hashlib.sha256(b"\0".join((*made_of, Path(__file__).read_bytes()))).hexdigest()


def build_once(
    archive: Path, wanted: str, members: Callable[[Path], Iterator[Member]], limit: int, remedy: str
) -> bool:
    """Have ``archive`` of the recipe ``wanted``; whether it had to be built.

    ``members`` makes them in the empty folder it is given. ``ArchiveError`` above ``limit`` bytes, for
    which there is ``remedy``.
    """
    stamp = archive.with_name(archive.name.replace(".tar.gz", ".recipe"))
    if archive.exists() and stamp.exists() and stamp.read_text().strip() == wanted:
        return False
    with tempfile.TemporaryDirectory() as scratch, atomic_file(archive) as part:
        pack(members(Path(scratch)), part)
        size = part.stat().st_size
        if size > limit:
            raise ArchiveError(
                f"{archive.name} would have {size / 1e6:.1f} MB and may have {limit / 1e6:.0f}: {remedy}."
            )
    with atomic_file(stamp) as part:
        part.write_text(f"{wanted}\n")
    return True


def this_platform() -> str:
    """Of the processor of this machine; x86_64 where it is neither."""
    machine = platform.machine()
    return machine if machine in PLATFORMS else "x86_64"


def command(
    module: str,
    description: str,
    build: Callable[[Path, str], tuple[Path, bool]],
    arguments: list[str] | None,
) -> int:
    """``python -m module --output FOLDER --platform PROCESSOR``: ``build`` for these; the exit code."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--output", type=Path, default=ROOT / ".cache" / "runtime", help="folder to write")
    parser.add_argument(
        "--platform",
        choices=PLATFORMS,
        default=this_platform(),
        help="processor: aarch64 for Graviton. Default: this machine's",
    )
    asked = parser.parse_args(arguments)
    begun = time.monotonic()
    try:
        archive, built = build(asked.output, asked.platform)
    except (ArchiveError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    how = f"built in {time.monotonic() - begun:.0f} s" if built else "already built"
    print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB, {how}")
    return 0
