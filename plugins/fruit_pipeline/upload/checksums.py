"""The checksums of a file as S3 keeps them: of the whole, or of the digests of its parts.

A file is sent in parts of one size, known beforehand, so that what S3 says of an object can be compared
with the file without another request: the ETag of an object under SSE-S3 is its MD5 or, of several parts,
the MD5 of their MD5s and the number of parts; a SHA-256 is composed alike.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

PART_SIZE: Final = 16 * 2**20
"""Bytes of a part; a smaller file is put whole. S3 allows 10,000 parts, and so 160 GB."""


class UnreadableError(Exception):
    """A file of this machine cannot be read; the message is the system's reason."""


def parts(path: str) -> Iterator[bytes]:
    """The file's content, in parts of ``PART_SIZE``."""
    try:
        with Path(path).open("rb") as file:
            while part := file.read(PART_SIZE):
                yield part
    except OSError as error:
        # Not left as it is: botocore's errors of the network are OSErrors too.
        raise UnreadableError(error.strerror) from error


def sha256(content: bytes) -> str:
    """Base64, as S3 writes it."""
    return base64.b64encode(hashlib.sha256(content).digest()).decode()


def etag(path: str) -> str:
    """What S3 would give the file for an ETag, without quotes, if it is encrypted by SSE-S3."""
    digests = [hashlib.md5(part, usedforsecurity=False).digest() for part in parts(path)]
    if len(digests) == 1:
        return digests[0].hex()
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def stored_sha256(path: str) -> str:
    """What S3 would give the file for a ``ChecksumSHA256``."""
    digests = [hashlib.sha256(part).digest() for part in parts(path)]
    if len(digests) == 1:
        return base64.b64encode(digests[0]).decode()
    return f"{sha256(b''.join(digests))}-{len(digests)}"
