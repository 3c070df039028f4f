"""Packages of Debian 12 for either processor, pinned by version and checksum, on any machine with apt.

    python -m artifacts.debian      # writes the newest versions into requirements/interpreter.txt

They come from the release itself and not from its security suite: what has gone into the last point release
stays to be had for years, while the other's older versions vanish with every update. The machine's own
package database is not touched.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from artifacts import ROOT
from artifacts.archives import PLATFORMS, ArchiveError
from artifacts.atomic import write_atomically

LIST: Final = ROOT / "requirements" / "interpreter.txt"
SUITE: Final = "bookworm"
_ARCHITECTURES: Final = {"aarch64": "arm64", "x86_64": "amd64"}
_APT_GET: Final = "apt-get"
_KEYS: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_CONFIGURATION: Final = """
#clear APT::Architectures;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
APT::Update::Error-Mode "any";
Acquire::Retries "3";
Dir::Etc::SourceList "{state}/sources.list";
Dir::Etc::SourceParts "-";
Dir::State::Lists "{state}/lists/";
Dir::State::Status "{state}/status";
Dir::Cache "{state}/";
Dir::Cache::Archives "{state}/archives/";
"""


class NoDebianError(ArchiveError):
    """This machine has no way to Debian's packages; the message says what is missing."""


class Package(NamedTuple):
    """A pinned package."""

    platform: str
    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.platform} {self.name}={self.version} sha256:{self.sha256}"


def read_list(file: Path) -> list[Package]:
    """``platform name=version sha256:<hex>`` a line; ``#`` begins a comment."""
    found = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        if not line.partition("#")[0].strip():
            continue
        match = re.fullmatch(r"(\w+) (\S+?)=(\S+) sha256:([0-9a-f]{64})", line)
        if match is None:
            raise ArchiveError(
                f"{file.name}, line {number}: {line!r} is not 'platform name=version sha256:<hex>'."
            )
        found.append(Package(*match.groups()))
    return found


def unpack(packages: Sequence[Package], folder: Path) -> None:
    """Download packages of one platform and lay out their files below ``folder``."""
    (platform,) = {package.platform for package in packages}
    with _apt(platform) as apt, tempfile.TemporaryDirectory() as downloads:
        _run(
            *(_APT_GET, *apt, "download", *(f"{package.name}={package.version}" for package in packages)),
            folder=Path(downloads),
            remedy="if Debian has replaced a pinned version, run `make lock`",
        )
        wanted = {package.sha256 for package in packages}
        for file in sorted(Path(downloads).glob("*.deb")):
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            if digest not in wanted:
                raise ArchiveError(f"{file.name} has SHA-256 {digest}, which is not pinned: do not use it.")
            _run("dpkg-deb", "-x", str(file), str(folder))


def newest(names: Iterable[str]) -> Iterator[Package]:
    """What the release has of these packages now, for every platform."""
    for platform in PLATFORMS:
        with _apt(platform) as apt:
            for name in sorted(names):
                shown = _run("apt-cache", *apt, "show", "--no-all-versions", name)
                fields = dict(re.findall(r"^(Version|SHA256): (\S+)$", shown, re.MULTILINE))
                yield Package(platform, name, fields["Version"], fields["SHA256"])


@contextmanager
def _apt(platform: str) -> Iterator[tuple[str, ...]]:
    """Options with which apt sees the release for ``platform``, and nothing else."""
    mirror = os.environ.get("DEBIAN_MIRROR") or _mirror()
    signed_by = f"[signed-by={_KEYS}] " if _KEYS.exists() else ""
    with tempfile.TemporaryDirectory() as name:
        state = Path(name)
        for folder in ("lists/partial", "archives/partial"):
            (state / folder).mkdir(parents=True)
        (state / "status").touch()
        (state / "sources.list").write_text(f"deb {signed_by}{mirror} {SUITE} main\n")
        configuration = state / "apt.conf"
        configuration.write_text(_CONFIGURATION.format(architecture=_ARCHITECTURES[platform], state=state))
        # Read after the machine's own settings, which APT_CONFIG is not.
        apt = ("-qq", "-c", str(configuration))
        _run(
            *(_APT_GET, *apt, "update"),
            remedy="see whether the mirror is right, and debian-archive-keyring installed",
        )
        yield apt


def _mirror() -> str:
    """Where this machine gets the release from, whether or not it has read its lists."""
    listed = _run(
        *(_APT_GET, "indextargets", "--no-release-info"),
        *("--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"),
    )
    for line in listed.splitlines():
        address, _, rest = line.partition(" ")
        if rest == f"{SUITE} main":
            return address
    raise NoDebianError(
        f"The apt sources of this machine have no Debian 12 ({SUITE}), of which the Python for emr-6 is "
        "made: give the address of a mirror in DEBIAN_MIRROR."
    )


def _run(*command: str, folder: Path = ROOT, remedy: str = "") -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise NoDebianError(
            f"{command[0]} was not found: the Python for emr-6 is made of Debian's packages, so build it on "
            "Debian or Ubuntu, or in a container of either."
        ) from None
    if done.returncode != 0:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or [done.stderr.strip()]
        raise ArchiveError(f"{command[0]} failed: {said[0]}{remedy and f'; {remedy}'}.")
    return done.stdout


def main() -> int:
    header = [line for line in LIST.read_text().splitlines() if line.startswith("#")]
    try:
        names = {package.name for package in read_list(LIST)}
        write_atomically(LIST, "".join(f"{line}\n" for line in (*header, *newest(names))).encode())
    except ArchiveError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
