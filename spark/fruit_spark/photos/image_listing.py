"""List images without a plan, so that the step can be used alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from fruit_contract.layout import IMAGE_NAMES, is_image_key, split_uri
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.step_errors import StepError
from fruit_spark.storage.s3 import is_s3, store_for


def list_images(source: str, unseen: list[OSError] | None = None) -> list[WorkItem]:
    """The images below a folder or an ``s3://`` prefix, as a work list. Hidden files are images too.

    Sub-folders that cannot be read go to ``unseen``; ``StepError`` for one where that is None. ``StepError``,
    too, where the source cannot be listed, and where it has nothing.
    """
    closed: list[OSError] = []
    found = list(_list_s3(source) if is_s3(source) else _list_folder(source, closed))
    if closed and unseen is None:
        raise StepError(
            f"The folder {closed[0].filename!r} could not be read ({closed[0].strerror}): give access to it."
        )
    if not found and not closed:
        raise StepError(f"No images below {source}: give a folder with {IMAGE_NAMES} files.")
    if unseen is not None:
        unseen += closed
    return found


def _list_folder(source: str, closed: list[OSError]) -> Iterator[WorkItem]:
    place = source.removeprefix("file://")
    try:
        # An empty path would be the current folder.
        is_there = bool(place) and Path(place).is_dir()
    except OSError as problem:
        raise StepError(
            f"The folder {source!r} could not be read ({problem.strerror}): give one that can be."
        ) from problem
    if not is_there:
        raise StepError(f"There is no folder {source!r}: give one that holds images, or an s3:// prefix.")
    for folder, folders, names in os.walk(Path(place).absolute(), onerror=closed.append):
        folders.sort()
        for name in sorted(filter(is_image_key, names)):
            path = Path(folder, name)
            yield WorkItem(str(path), str(path), "", size_of(path))


def size_of(path: Path) -> int:
    """Bytes of a file, or -1 where it cannot be looked at: why, is said when it is read."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _list_s3(source: str) -> Iterator[WorkItem]:
    import obstore

    bucket, prefix = split_uri(source)
    try:
        # obstore lists whole path parts: the part of the prefix behind the last slash is matched here.
        for page in obstore.list(store_for(bucket), prefix.rpartition("/")[0] or None):
            for entry in page:
                key = entry["path"]
                if key.startswith(prefix) and is_image_key(key):
                    etag = (entry.get("e_tag") or "").strip('"')
                    yield WorkItem(key, f"s3://{bucket}/{key}", etag, entry["size"])
    except Exception as problem:
        first = str(problem).splitlines()[0]
        raise StepError(
            f"{source} could not be listed: {first}. Check the bucket's name and access, or give a "
            "--work-list where keys have empty, '.' or '..' parts or control characters."
        ) from problem
