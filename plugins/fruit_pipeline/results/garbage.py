"""Remove what no kept result refers to. Reports stay for ever, and photos are never touched.

The pointer names the published runs, and the manifest of each kept one names the feature files that
it refers to. A run that was never published may still be under way: what it wrote is left alone for
longer than any run may live. Both sides of that comparison are S3's own clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from fruit_contract.layout import FEATURES_PREFIX, RunLayout
from fruit_pipeline.changes import sources_of
from fruit_pipeline.parameters import LONGEST_HOURS
from fruit_pipeline.publication import Current, read_pointer

_OF_RUNS: Final = (
    "Results/work_list/run=",
    "Results/manifest/run=",
    "Results/rejected/run=",
    "Results/pca_model/run=",
    "Results/pca_output/run=",
)
"""The prefixes whose next part is a run's key. The output goes last, for a reader who is at it."""
GRACE: Final = timedelta(hours=2 * LONGEST_HOURS)
"""How long the files of an unpublished run are left alone."""
_MARKER: Final = "_$folder$"
"""What EMRFS, the S3 file system of emr-6, makes an empty folder of: an object with its name and this."""
_DELETE_AT_ONCE: Final = 1000
"""Keys in one DeleteObjects request, its limit."""


class GarbageError(RuntimeError):
    """S3 did not delete what it was asked to; one sentence."""


@dataclass
class Collected:
    """What was removed, or would be: folders, and the objects in them."""

    removed: list[str] = field(default_factory=list)
    objects: int = 0
    bytes: int = 0
    kept: int = 0
    """Folders that a kept run refers to, or that may belong to a run under way."""

    def __str__(self) -> str:
        return (
            f"{len(self.removed)} folders that no kept result refers to, with {self.objects:,} objects of "
            f"{self.bytes / 1e6:.1f} MB; {self.kept} folders kept"
        )


def collect(s3: Any, bucket: str, keep_runs: int, *, dry_run: bool = False) -> Collected:
    """Remove, or with ``dry_run`` only count, what the last ``keep_runs`` published runs do not refer to.

    Without a published result nothing is removed. ``GarbageError`` when S3 refuses.
    """
    current, now = read_pointer(s3, bucket), _now(s3, bucket)
    done = Collected()
    if current.pointer is None:
        return done
    published, kept = set(current.published), set(current.published[:keep_runs])
    sources = _sources_kept(s3, bucket, current, keep_runs)
    for prefix in (*_OF_RUNS, FEATURES_PREFIX):
        folders, markers = _folders(s3, bucket, prefix)
        for folder in folders:
            name = folder.removeprefix(prefix).rstrip("/")
            run = name.partition("=")[2] if prefix == FEATURES_PREFIX else name
            needed = name in sources if prefix == FEATURES_PREFIX else run in kept
            objects = [] if needed else list(_objects(s3, bucket, folder))
            if needed or (run not in published and _may_be_under_way(objects, now)):
                done.kept += 1
                continue
            if marker := markers.get(f"{folder.rstrip('/')}{_MARKER}"):
                objects.append(marker)
            done.removed.append(folder)
            done.objects += len(objects)
            done.bytes += sum(entry["Size"] for entry in objects)
            if not dry_run:
                _delete(s3, bucket, [entry["Key"] for entry in objects])
    return done


def _now(s3: Any, bucket: str) -> datetime:
    """The time by S3's clock."""
    answer = s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"])


def _sources_kept(s3: Any, bucket: str, current: Current, keep_runs: int) -> set[str]:
    """The folders of features that kept runs refer to."""
    kept = (RunLayout(bucket, key) for key in current.published[:keep_runs])
    return {source for layout in kept for source in sources_of(s3, bucket, layout.manifest)}


def _folders(s3: Any, bucket: str, prefix: str) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """The prefixes up to the next slash, and the markers beside them by their keys."""
    folders: list[str] = []
    markers: dict[str, dict[str, Any]] = {}
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/"):
        folders += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        markers |= {
            entry["Key"]: entry for entry in page.get("Contents", []) if entry["Key"].endswith(_MARKER)
        }
    return folders, markers


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])


def _may_be_under_way(objects: list[dict[str, Any]], now: datetime) -> bool:
    """Whether something was written there of late."""
    return any(now - entry["LastModified"] < GRACE for entry in objects)


def _delete(s3: Any, bucket: str, keys: list[str]) -> None:
    for start in range(0, len(keys), _DELETE_AT_ONCE):
        batch = [{"Key": key} for key in keys[start : start + _DELETE_AT_ONCE]]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        for error in answer.get("Errors", []):
            raise GarbageError(
                f"S3 did not delete {error['Key']!r} in {bucket!r} ({error['Code']}): allow s3:DeleteObject "
                "on Results/, then clear this task."
            )
