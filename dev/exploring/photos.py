"""The photos of a result, as bytes: from the bucket, or from the folder that they were uploaded from."""

import glob
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from PIL import Image

from exploring.places import REPOSITORY
from fruit_contract.layout import INPUT_PREFIX, split_uri


@dataclass(frozen=True)
class Photos:
    """What :meth:`picture` looks in."""

    s3: Any
    """Client of the bucket; None for a result in a folder."""
    folders: str
    """Pattern of folders, relative to the repository, with one sub-folder per label."""
    prefix: str = INPUT_PREFIX
    """What the keys of photos begin with, and their files do not."""

    def picture(self, path: str) -> Any | None:
        """The photo at ``s3://bucket/key`` as ``PIL.Image``; None where it is not, or is no picture."""
        content = self._content(path)
        try:
            return Image.open(io.BytesIO(content)).convert("RGB") if content else None
        except OSError:
            return None

    def _content(self, path: str) -> bytes | None:
        bucket, key = split_uri(path)
        if self.s3 is not None:
            try:
                return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())
            except ClientError:
                return None
        files = (folder / key.removeprefix(self.prefix) for folder in self._named())
        return next((file.read_bytes() for file in files if file.is_file()), None)

    def _named(self) -> list[Path]:
        """The folders; one whose own name has a bracket or a star is no pattern."""
        if REPOSITORY.joinpath(self.folders).is_dir():
            return [REPOSITORY / self.folders]
        found = glob.glob(self.folders, root_dir=REPOSITORY)  # noqa: PTH207 -- takes absolute patterns too
        return [REPOSITORY / name for name in sorted(found)]
