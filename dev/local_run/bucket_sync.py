"""A bucket's prefix made to hold what a folder holds: the uploader, and the removal of everything else."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from fruit_pipeline.bucket_listing import bucket_objects
from upload.folder import ImagesError, Skipped, read_folder
from upload.uploading import IN_FLIGHT, Summary, send

__all__ = ["IN_FLIGHT", "ImagesError", "Mirrored", "mirror", "read_folder"]

_DELETE_AT_ONCE: Final = 1000


@dataclass
class Mirrored:
    """What a mirroring did."""

    uploaded: int = 0
    already_there: int = 0
    removed: int = 0
    ignored: list[Skipped] = field(default_factory=list)
    """Files that were not uploaded, and why."""


def mirror(s3: Any, source: Path, bucket: str, prefix: str, console: Console) -> Mirrored:
    """Make the bucket's prefix hold exactly the images of the folder.

    What is not in the folder is removed (the bucket is versioned: no bytes are lost).
    """
    folder, summary = read_folder(source, prefix), Summary()
    send(s3, folder, bucket, prefix, console, summary)
    wanted = {photo.key for photo in folder.photos}
    listed = (batch.column("key").to_pylist() for batch in bucket_objects(s3, bucket, prefix))
    gone = [key for keys in listed for key in keys if key not in wanted]
    for start in range(0, len(gone), _DELETE_AT_ONCE):
        batch = gone[start : start + _DELETE_AT_ONCE]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in batch], "Quiet": True})
    return Mirrored(summary.uploaded, summary.already_there, len(gone), summary.skipped)
