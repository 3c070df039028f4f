"""What YARN does before a container starts: files and unpacked archives in its working directory."""

import hashlib
import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from botocore.client import BaseClient
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.emr.spark_submit import Localized


class LocalizationError(Exception):
    """Something that a step needs could not be put in place; the message names it."""


class Localizer:
    """Fetches for steps. Unpacked archives are kept by ETag, because they can have 100 MB."""

    def __init__(self, s3: BaseClient, cache: Path) -> None:
        self._s3, self._cache = s3, cache
        cache.mkdir(parents=True, exist_ok=True)

    def localize(self, items: list[Localized], workdir: Path) -> None:
        for item in items:
            target = workdir / item.name
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                if item.unpack:
                    target.symlink_to(self._unpacked(item.uri), target_is_directory=True)
                else:
                    self._fetch(item.uri, target)
            except (ClientError, BotoCoreError) as error:
                raise LocalizationError(f"{item.uri} cannot be read: {error}") from error
            except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
                raise LocalizationError(f"{item.uri} is not a readable archive: {error}") from error
            except FileExistsError as error:
                raise LocalizationError(f"{item.uri}: the name {item.name!r} is used twice.") from error
            except OSError as error:
                raise LocalizationError(f"{item.uri} cannot be put in place: {error}") from error

    def _fetch(self, uri: str, target: Path) -> None:
        if uri.startswith("s3"):
            bucket, key = _split(uri)
            self._s3.download_file(bucket, key, str(target))
        else:
            shutil.copyfile(uri.removeprefix("file://"), target)

    def _unpacked(self, uri: str) -> Path:
        folder = self._cache / hashlib.sha256(f"{uri} {self._version(uri)}".encode()).hexdigest()[:32]
        if folder.is_dir():
            return folder
        with tempfile.TemporaryDirectory(dir=self._cache) as scratch:
            archive = Path(scratch) / "archive"
            content = Path(scratch) / "content"
            self._fetch(uri, archive)
            _unpack(archive, content)
            archive.unlink()
            try:
                content.rename(folder)
            except OSError:
                # Another step unpacked the same archive at the same time; its copy is as good.
                if not folder.is_dir():
                    raise
        return folder

    def _version(self, uri: str) -> str:
        if not uri.startswith("s3"):
            return str(Path(uri.removeprefix("file://")).stat().st_mtime_ns)
        bucket, key = _split(uri)
        return str(self._s3.head_object(Bucket=bucket, Key=key)["ETag"])


def _unpack(archive: Path, content: Path) -> None:
    content.mkdir()
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(content)
    else:
        with tarfile.open(archive) as tarred:
            for member in tarred:
                # By hand: tarfile's filters came with Python 3.11.4, and Debian 12 has 3.11.2.
                # A symbolic link's target is beside it, a hard link's is a name in the archive.
                beside = PurePosixPath(member.name).parent if member.issym() else PurePosixPath()
                for name in (PurePosixPath(member.name), beside / member.linkname):
                    if not (content / name).resolve().is_relative_to(content.resolve()):
                        raise tarfile.TarError(f"{member.name} lies outside of it")
                tarred.extract(member, content)


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.partition("://")[2].partition("/")
    return bucket, key
