"""Fetch the jars that let Spark read S3 (S3A), pinned by coordinate and checksum.

    python -m artifacts.jars --output .cache/jars

The list is ``requirements/jars.txt``. A jar that is already right is not fetched again; one that is wrong
is replaced. Where to fetch from is the Maven client's own default.
"""

import argparse
import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import tenacity

from artifacts import ROOT
from artifacts.atomic import write_atomically

ATTEMPTS: Final = 5
AT_ONCE: Final = 6


class JarError(Exception):
    """A jar cannot be had, or is not the one that was pinned."""


@dataclass(frozen=True)
class Jar:
    """One line of the list."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_list(file: Path) -> list[Jar]:
    """The jars of a list: ``group:artifact:version sha256:<hex>`` a line; ``#`` begins a comment."""
    jars = []
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        content = line.partition("#")[0].split()
        if not content:
            continue
        coordinates = content[0].split(":")
        if len(content) != 2 or len(coordinates) != 3 or not content[1].startswith("sha256:"):
            raise JarError(
                f"{file.name}, line {number}: {line!r} is not 'group:artifact:version sha256:<hex>'."
            )
        group, artifact, release = coordinates
        jars.append(Jar(group, artifact, release, content[1].removeprefix("sha256:")))
    return jars


def is_right(file: Path, jar: Jar) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == jar.sha256


@tenacity.retry(
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_random_exponential(multiplier=0.5, max=8),
    reraise=True,
)
def download(jar: Jar) -> bytes:
    """The content of a jar, its checksum verified; a Maven fetch can fail once and succeed the next time."""
    from maven_artifact.artifact import Artifact
    from maven_artifact.requestor import RequestException, Requestor
    from maven_artifact.resolver import Resolver

    resolver = Resolver.default()
    address = resolver.uri_for_artifact(Artifact(jar.group, jar.artifact, jar.version))
    try:
        content: bytes = Requestor().request(address, None, lambda answer: answer.content, timeout=60)
    except (OSError, RequestException) as problem:
        raise JarError(f"{jar.name} could not be fetched: {problem}") from problem
    found = hashlib.sha256(content).hexdigest()
    if found != jar.sha256:
        raise JarError(f"{jar.name} has SHA-256 {found}, pinned is {jar.sha256}: do not use it.")
    return content


def fetch(jar: Jar, output: Path) -> bool:
    """Have ``jar`` in ``output``; whether it had to be downloaded."""
    target = output / jar.name
    if is_right(target, jar):
        return False
    write_atomically(target, download(jar))
    return True


def fetch_all(jars: list[Jar], output: Path) -> int:
    """Have exactly these jars in ``output`` (others are removed); the number downloaded."""
    output.mkdir(parents=True, exist_ok=True)
    for stray in set(output.glob("*.jar")) - {output / jar.name for jar in jars}:
        stray.unlink()  # a version of before: Spark must not find both
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(lambda jar: fetch(jar, output), jars))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m artifacts.jars", description="Fetch the S3A jars.")
    parser.add_argument("--output", type=Path, default=ROOT / ".cache" / "jars", help="folder to fill")
    parser.add_argument(
        "--list", type=Path, default=ROOT / "requirements" / "jars.txt", help="the pinned jars"
    )
    asked = parser.parse_args(arguments)
    try:
        jars = read_list(asked.list)
        fetched = fetch_all(jars, asked.output)
    except (JarError, OSError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    print(f"{asked.output}: {len(jars)} jars, {fetched} downloaded")
    return 0


if __name__ == "__main__":
    sys.exit(main())
