"""A folder that answers as S3 does, and the peak of a process that reads it. moto keeps all in memory."""

import hashlib
import io
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from fruit_contract.manifest import LIVE
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA

ROWS_PER_GROUP = 50_000
MORE_MEMORY = 32 * 2**20
"""What a process may take more for a million photos. A digest of each would be 60 MiB and more."""


class FilesAsS3:
    """Of one bucket, without its conditions; ``sent`` counts the bytes of ranges."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sent = folder, 0

    def get_paginator(self, _: str) -> "FilesAsS3":
        return self

    def paginate(self, Bucket: str, Prefix: str) -> Any:  # noqa: N803 -- boto3's names
        paths = sorted(path for path in self.folder.joinpath(Prefix).rglob("*") if path.is_file())
        keys = ((path, path.relative_to(self.folder).as_posix()) for path in paths)
        yield {"Contents": [{"Key": key, "Size": path.stat().st_size} for path, key in keys]}

    def head_object(self, **of: str) -> dict[str, int]:
        return {"ContentLength": self._path(of["Key"]).stat().st_size}

    def get_object(self, **of: str) -> dict[str, Any]:
        path = self._path(of["Key"])
        if not path.exists():
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        with path.open("rb") as file:
            if "Range" in of:
                first, last = map(int, of["Range"].removeprefix("bytes=").split("-"))
                file.seek(first)
                body = file.read(last - first + 1)
                self.sent += len(body)
            else:
                body = file.read()
        return {"Body": io.BytesIO(body), "ETag": hashlib.md5(body, usedforsecurity=False).hexdigest()}

    def put_object(self, **of: Any) -> None:
        self._new(of["Key"]).write_bytes(of["Body"])

    def upload_file(self, file: str, bucket: str, key: str) -> None:
        shutil.copyfile(file, self._new(key))

    def download_file(self, bucket: str, key: str, file: str) -> None:
        shutil.copyfile(self._path(key), file)

    def download_fileobj(self, bucket: str, key: str, stream: Any) -> None:
        with self._path(key).open("rb") as file:
            shutil.copyfileobj(file, stream)

    def _path(self, key: str) -> Path:
        return self.folder / key

    def _new(self, key: str) -> Path:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def keys(begin: int) -> list[str]:
    """Of a row group, in their order."""
    return [f"Test/{number:09}.jpg" for number in range(begin, begin + ROWS_PER_GROUP)]


def write_manifest(file: Path, photos: int, source: str) -> None:
    """Of so many photos, all of them live."""
    file.parent.mkdir(parents=True)
    with pq.ParquetWriter(file, MANIFEST_SCHEMA) as manifest:
        for begin in range(0, photos, ROWS_PER_GROUP):
            each = {"etag": "0", "size": 1, "state": LIVE, "reason": None, "source": source}
            names = pa.array(keys(begin))
            columns = [names, *(pa.repeat(value, len(names)) for value in each.values())]
            manifest.write_table(
                pa.Table.from_arrays(
                    [column.cast(kind) for column, kind in zip(columns, MANIFEST_SCHEMA.types, strict=True)],
                    schema=MANIFEST_SCHEMA,
                )
            )


def peak_of(task: Callable[..., None], *arguments: Any) -> int:
    """Bytes that a fresh process has resident at most when it does the task."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_peak, task, *arguments).result()


def _peak(task: Callable[..., None], *arguments: Any) -> int:
    task(*arguments)
    # Not ru_maxrss: a process begins with that of the one that started it.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024
