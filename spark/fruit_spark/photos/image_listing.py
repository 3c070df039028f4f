"""List images without a plan, so that the step can be used alone."""

import os
from collections.abc import Iterator
from pathlib import Path

from fruit_contract.layout import IMAGE_NAMES, is_image_key, split_uri
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.step_errors import StepError
from fruit_spark.storage.s3 import is_s3, store_for


def list_images(source: str) -> list[WorkItem]:
    """The images below a folder or an ``s3://`` prefix, as a work list. Hidden files are images too."""
    found = list(_list_s3(source) if is_s3(source) else _list_folder(source))
    if not found:
        raise StepError(f"No images below {source}: give a folder with {IMAGE_NAMES} files.")
    return found


def _list_folder(source: str) -> Iterator[WorkItem]:
    root = Path(source.removeprefix("file://")).absolute()
    if not root.is_dir():
        raise StepError(f"There is no folder {source}: give one that holds images, or an s3:// prefix.")
    for folder, folders, names in os.walk(root):
        folders.sort()
        for name in sorted(filter(is_image_key, names)):
            path = Path(folder, name)
            yield WorkItem(str(path), str(path), "", path.stat().st_size)


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
