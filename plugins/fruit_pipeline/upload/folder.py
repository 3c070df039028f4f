"""What lies in a folder of photos: which files become which keys, which do not, and why."""

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from fruit_contract.layout import is_image_key
from fruit_pipeline.errors import PipelineError

_LONGEST_KEY: Final = 1024
"""Bytes of UTF-8: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""


class ImagesError(PipelineError):
    """The folder cannot be uploaded; the message says why."""


class Photo(NamedTuple):
    """One file, and the key that it gets. A tuple, because there may be a hundred thousand."""

    path: str
    key: str
    size: int


@dataclass(frozen=True)
class Skipped:
    """A file that is not uploaded."""

    path: str
    reason: str


@dataclass(frozen=True)
class Folder:
    """The photos in the order of their paths, and the other files."""

    photos: list[Photo]
    skipped: list[Skipped]

    def without_empty(self) -> "Folder":
        """Files of no bytes are no photos: S3 would hold them, and each run reject them."""
        empty = [Skipped(photo.path, "is empty") for photo in self.photos if not photo.size]
        return Folder([photo for photo in self.photos if photo.size], self.skipped + empty)


def read_folder(folder: Path, prefix: str = "") -> Folder:
    """The files in ``folder/<label>/``, at any depth; ``ImagesError`` where they are no labelled photos.

    The key is ``prefix`` and the path below ``folder``, character by character: neither the case nor the
    Unicode form of a name is changed. A link to a file of the folder is that file; any other is skipped.
    """
    if not folder.is_dir():
        problem = "is a file" if folder.exists() else "does not exist"
        raise ImagesError(f"The folder {str(folder)!r} {problem}: name one with a sub-folder per label.")
    photos: list[Photo] = []
    skipped: list[Skipped] = []
    unseen: list[OSError] = []
    inside = folder.resolve()
    for name in _files(folder, unseen):
        path = folder / name
        reason, size = _judge(path, prefix + name)
        if any(part.startswith(".") for part in name.split("/")[:-1]):
            reason = reason or "lies in a hidden folder"
        if path.is_symlink():
            reason = _judge_link(path, inside) or reason
        if reason:
            skipped.append(Skipped(str(path), reason))
        else:
            photos.append(Photo(str(path), prefix + name, size))
    skipped += [Skipped(str(error.filename), f"cannot be read ({error.strerror})") for error in unseen]
    loose = [photo for photo in photos if "/" not in photo.key.removeprefix(prefix)]
    if loose:
        raise ImagesError(
            f"{len(loose)} images lie directly in {str(folder)!r}, the first is "
            f"{Path(loose[0].path).name!r}: put each into a sub-folder named after its label."
        )
    if not photos:
        raise ImagesError(
            f"There is no image in the sub-folders of {str(folder)!r}: name a folder that has some."
        )
    return Folder(photos, skipped)


def _files(folder: Path, unseen: list[OSError]) -> Iterator[str]:
    """The paths of all files below ``folder``, with slashes; folders that cannot be read go to ``unseen``.

    A link to a folder is a path like a file's, and not followed: it may lead out, or in circles.
    """
    for parent, folders, names in os.walk(folder, onerror=unseen.append):
        folders.sort()
        below = Path(parent).relative_to(folder).as_posix()
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted(names + links):
            yield name if below == "." else f"{below}/{name}"


def _judge_link(link: Path, inside: Path) -> str:
    """Why a link that leads anywhere is not followed, or ``""``."""
    try:
        link.stat()  # a circle is an OSError here, and a RuntimeError to resolve()
    except OSError:
        return ""
    target = link.resolve()
    if not target.is_relative_to(inside):
        return "is a link out of the folder"
    return "is a link to a folder" if target.is_dir() else ""


def _judge(path: Path, key: str) -> tuple[str, int]:
    """Why a file is no photo to upload, or ``""`` and its size."""
    if not is_image_key(key):
        return "is not an image by its name", 0
    try:
        if len(key.encode()) > _LONGEST_KEY:
            return f"has a key of more than {_LONGEST_KEY} bytes", 0
        size = path.stat().st_size
    except UnicodeEncodeError:
        return "has a name that is not UTF-8", 0
    except OSError as error:
        return f"cannot be read ({error.strerror})", 0
    if not path.is_file():
        return "is not a regular file", 0
    return "", size


def twins(keys: Iterable[str]) -> list[list[str]]:
    """Keys that differ in nothing but case or Unicode form (NFC, NFD): to S3 they are different objects."""
    alike: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        alike[unicodedata.normalize("NFC", unicodedata.normalize("NFC", key).casefold())].append(key)
    return [sorted(group) for group in alike.values() if len(group) > 1]
