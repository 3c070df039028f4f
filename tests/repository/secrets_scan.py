"""Finds keys and account ids in what a run leaves behind: logs, reports, archives, rendered requests.

It shares no pattern with the pipeline's own redaction, so that neither hides a gap of the other.
"""

import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PATTERNS: Final = {
    "access key id": re.compile(rb"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{12,}(?![A-Za-z0-9])"),
    "secret access key": re.compile(
        rb"(?i)secret[\w .-]{0,20}[\"']?\s*[:=,]\s*[\"']?[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"
    ),
    "session token": re.compile(
        rb"(?i)(?:session|security)[ _-]?token[\"']?\s*[:=,]\s*[\"']?[A-Za-z0-9/+=%_-]{40,}"
    ),
    "account id in an ARN": re.compile(rb"(?i)arn(?::|%3a)aws[^\s\"']*?(?::|%3a)\d{12}(?!\d)"),
    "account id in a queue's address": re.compile(rb"(?i)://(?:sqs|queue)[^/\s]*/\d{12}/"),
    "signed address": re.compile(rb"(?i)x-amz-signature=[0-9a-f]{64}"),
    "private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
}


@dataclass(frozen=True)
class Finding:
    where: str
    kind: str
    offset: int
    """Of the first byte; the text itself is not repeated, for it would end in the test's own log."""


def scan(content: bytes | str, where: str = "text") -> list[Finding]:
    """Everything found in a text or in a file's bytes; archives are opened, however deep."""
    data = content.encode() if isinstance(content, str) else content
    return [
        Finding(name, kind, match.start())
        for name, part in _opened(data, where)
        for kind, pattern in _PATTERNS.items()
        for match in pattern.finditer(part)
    ]


def scan_files(*paths: Path) -> list[Finding]:
    """Everything found in files, and in every file below folders. A path that is not there is an error."""
    return [finding for path in _files(paths) for finding in scan(path.read_bytes(), where=str(path))]


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (each for each in sorted(path.rglob("*")) if each.is_file())
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(f"There is nothing to scan at {path}.")


def _opened(data: bytes, where: str) -> Iterator[tuple[str, bytes]]:
    """The bytes themselves, or what an archive of them holds."""
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from _opened(archive.read(name), f"{where}!{name}")
    elif data.startswith(b"\x1f\x8b"):
        yield from _opened(gzip.decompress(data), where)
    elif data[257:262] == b"ustar":
        with tarfile.open(fileobj=io.BytesIO(data)) as archive_of_files:
            for member in archive_of_files:
                if (stream := archive_of_files.extractfile(member)) is not None:
                    yield from _opened(stream.read(), f"{where}!{member.name}")
    else:
        yield where, data
