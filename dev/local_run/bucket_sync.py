"""A bucket's prefix made to hold what a folder holds: the uploader, and the removal of everything else."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from fruit_pipeline.aws.deletion import delete_objects
from fruit_pipeline.photos.bucket_listing import bucket_objects
from fruit_pipeline.upload.folder import ImagesError, Skipped, read_folder
from fruit_pipeline.upload.uploading import IN_FLIGHT, Summary, send

__all__ = ["IN_FLIGHT", "ImagesError", "Mirrored", "mirror", "read_folder"]


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
    refused = delete_objects(s3, bucket, [{"Key": key} for key in gone])
    return Mirrored(summary.uploaded, summary.already_there, len(gone) - len(refused), summary.skipped)
