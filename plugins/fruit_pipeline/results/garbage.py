"""Remove what no kept result refers to. Reports stay for ever, and photos are never touched.

The pointer names the published runs. The manifest of each kept one names the feature files that it refers
to, and its record the classifier, which may be an older run's. A run that was never published may still be
under way: what it wrote is left alone for longer than any run may live. Features that it has finished are
left for longer: a later run uses them. Both sides of that comparison are S3's own clock. Where a kept
manifest cannot be read, nothing is removed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

from fruit_contract.layout import (
    CLASSIFIERS_PREFIX,
    FEATURES_PREFIX,
    FINISHED_NAME,
    MANIFESTS_PREFIX,
    PCA_MODELS_PREFIX,
    PCA_OUTPUTS_PREFIX,
    REJECTED_PREFIX,
    WORK_LISTS_PREFIX,
    RunLayout,
)
from fruit_pipeline.aws.deletion import delete_objects
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results import recorded_files
from fruit_pipeline.results.manifests import sources_of
from fruit_pipeline.results.publication import Current, read_pointer
from fruit_pipeline.settings.parameters import LONGEST_HOURS

_OF_RUNS: Final = (
    WORK_LISTS_PREFIX,
    MANIFESTS_PREFIX,
    REJECTED_PREFIX,
    PCA_MODELS_PREFIX,
    CLASSIFIERS_PREFIX,
    PCA_OUTPUTS_PREFIX,
)
"""The prefixes whose next part is a run's key. The output goes last, for a reader who is at it."""
GRACE: Final = timedelta(hours=2 * LONGEST_HOURS)
"""How long the files of an unpublished run are left alone."""
FINISHED: Final = timedelta(days=30)
"""How long finished features are left that no result refers to."""
_MARKER: Final = "_$folder$"
"""What EMRFS, the S3 file system of emr-6, makes an empty folder of: an object with its name and this."""


class GarbageError(PipelineError):
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
    classifiers = kept | _classifiers_kept(s3, bucket, current, keep_runs)
    for prefix in (*_OF_RUNS, FEATURES_PREFIX):
        folders, markers = _folders(s3, bucket, prefix)
        for folder in folders:
            name = folder.removeprefix(prefix).rstrip("/")
            run = name.partition("=")[2] if prefix == FEATURES_PREFIX else name
            needed = name in {FEATURES_PREFIX: sources, CLASSIFIERS_PREFIX: classifiers}.get(prefix, kept)
            objects = [] if needed else list(_objects(s3, bucket, folder))
            if needed or (run not in published and _may_be_wanted(objects, now)):
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


def _classifiers_kept(s3: Any, bucket: str, current: Current, keep_runs: int) -> set[str]:
    """The runs that have trained the classifiers that kept runs name."""
    kept = (RunLayout(bucket, key) for key in current.published[:keep_runs])
    named = {recorded_files.classifier_run_of(s3, layout) for layout in kept}
    named.add((current.pointer or {}).get("classifier_run"))
    return {run for run in named if run}


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


def _may_be_wanted(objects: list[dict[str, Any]], now: datetime) -> bool:
    """Whether something was written there of late: by a run under way, or with features for the next."""
    finished = any(entry["Key"].endswith(f"/{FINISHED_NAME}") for entry in objects)
    return any(now - entry["LastModified"] < (FINISHED if finished else GRACE) for entry in objects)


def _delete(s3: Any, bucket: str, keys: list[str]) -> None:
    for refused in delete_objects(s3, bucket, [{"Key": key} for key in keys]):
        raise GarbageError(
            f"S3 did not delete {refused['Key']!r} in {bucket!r} ({refused['Code']}): allow s3:DeleteObject "
            "on Results/, then clear this task."
        )
