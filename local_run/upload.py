"""Photos from a folder to a bucket: concurrent, resumable, nothing uploaded twice."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from fruit_contract.layout import is_image_key

IN_FLIGHT: Final = 16
_DELETE_AT_ONCE: Final = 1000


class ImagesError(ValueError):
    """The folder cannot be uploaded; the message says why."""


@dataclass
class Summary:
    """What an upload did."""

    uploaded: int = 0
    already_there: int = 0
    removed: int = 0
    ignored: list[Path] = field(default_factory=list)
    """Files that are not images by their name."""


def local_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images in ``folder/<label>/``, and the other files found there, both sorted."""
    if not folder.is_dir():
        raise ImagesError(f"The folder {str(folder)!r} does not exist: name one with a sub-folder per label.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    images = [path for path in files if is_image_key(path.name)]
    loose = [path for path in images if path.parent == folder]
    if loose:
        raise ImagesError(
            f"{len(loose)} images lie directly in {str(folder)!r}, the first is {loose[0].name!r}: "
            "put each into a sub-folder named after its label."
        )
    if not images:
        raise ImagesError(
            f"There is no image in the sub-folders of {str(folder)!r}: name a folder that has some."
        )
    return images, [path for path in files if not is_image_key(path.name)]


def mirror(s3: Any, folder: Path, bucket: str, prefix: str, console: Console) -> Summary:
    """Make the bucket's prefix hold exactly the images of the folder.

    An object of the same size and MD5 is left alone, so an interrupted upload goes on where it
    stopped. What is not in the folder is removed (the bucket is versioned: no bytes are lost).
    """
    images, ignored = local_images(folder)
    summary = Summary(ignored=ignored)
    there = dict(_listed(s3, bucket, prefix))
    wanted = {prefix + path.relative_to(folder).as_posix(): path for path in images}
    to_send = {key: path for key, path in wanted.items() if there.get(key) != _fingerprint(path)}
    summary.already_there = len(wanted) - len(to_send)
    _send(s3, bucket, to_send, console)
    summary.uploaded = len(to_send)
    gone = sorted(there.keys() - wanted.keys())
    for start in range(0, len(gone), _DELETE_AT_ONCE):
        batch = gone[start : start + _DELETE_AT_ONCE]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True})
    summary.removed = len(gone)
    return summary


def _send(s3: Any, bucket: str, to_send: dict[str, Path], console: Console) -> None:
    columns = (
        TextColumn("[progress.description]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    total = sum(path.stat().st_size for path in to_send.values())
    with (
        Progress(*columns, console=console, transient=True) as progress,
        ThreadPoolExecutor(IN_FLIGHT) as pool,
    ):
        bar = progress.add_task(f"Uploading {len(to_send)} photos", total=total)

        def send(item: tuple[str, Path]) -> None:
            key, path = item
            content = path.read_bytes()
            # One request an object: it is there whole or not at all.
            s3.put_object(Bucket=bucket, Key=key, Body=content, ChecksumAlgorithm="SHA256")
            progress.advance(bar, len(content))

        for _ in pool.map(send, to_send.items()):
            pass


def _listed(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, tuple[int, str]]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            yield entry["Key"], (entry["Size"], entry["ETag"].strip('"'))


def _fingerprint(path: Path) -> tuple[int, str]:
    """Size and MD5, which is the ETag of an object that was put whole and encrypted by SSE-S3."""
    content = path.read_bytes()
    return len(content), hashlib.md5(content, usedforsecurity=False).hexdigest()
