"""Every S3 key of the project, in one place.

Keys are any UTF-8 (spaces, ``+``, ``%``, ``#``, accents): they are never URL-encoded here. A URI
is ``s3://<bucket>/<key>`` with the key as it is.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
LATEST_KEY: Final = "Results/pca_output/_latest.json"
REPORTS_PREFIX: Final = "Results/reports/run="
FEATURES_PREFIX: Final = "Results/features/"
"""Below it lie the feature files of all runs, one folder a source: what a step has written in one go."""
CARRIED_NAME: Final = "carried.parquet"
"""The file of ``rejected`` with the photos that earlier runs rejected and that have not changed."""
REPORT_NAME: Final = "report.json"
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_RUN_KEY = 120


def run_key(run_id: str) -> str:
    """The S3-safe form of Airflow's ``run_id``.

    Two different run ids never share a key: where a character had to be replaced, or the id is
    long, eight hex digits of its SHA-256 follow.

    >>> run_key("nightly-7")
    'nightly-7'
    >>> run_key("manual__2026-11-22T10:00:00+00:00")
    'manual__2026-11-22T10-00-00-00-00-4ff2a843'
    """
    if not run_id:
        raise ValueError("run_id is empty: give the run an id.")
    safe = _UNSAFE.sub("-", run_id)
    if safe == run_id and len(safe) <= _LONGEST_RUN_KEY:
        return safe
    digest = hashlib.sha256(run_id.encode()).hexdigest()[:8]
    return f"{safe[:_LONGEST_RUN_KEY]}-{digest}"


def later_run_key(key: str, number: int) -> str:
    """The key for a run that is repeated after its result was published, from its second time on.

    What is published is never overwritten. The plus sign stands in no run's first key.

    >>> later_run_key("nightly-7", 2)
    'nightly-7+2'
    """
    return f"{key}+{number}"


def label_of(path: str) -> str:
    """The label of an image: the name of its parent folder, or ``""`` at the root.

    >>> label_of("s3://bucket/Test/Pink Lady/1_100.jpg")
    'Pink Lady'
    """
    folder, _, _ = path.rpartition("/")
    return folder.rpartition("/")[2]


def is_image_key(key: str) -> bool:
    """Whether a key is named like an image. Folder markers and other files are not."""
    return key.lower().endswith(IMAGE_SUFFIXES)


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` (or s3a) as ``(bucket, key)``; ``ValueError`` for anything else."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not separator or scheme not in ("s3", "s3a") or not bucket:
        raise ValueError(f"{uri!r} is not an S3 address: write it as s3://bucket/key.")
    return bucket, key


@dataclass(frozen=True)
class RunLayout:
    """The keys of one run in one bucket. Nothing outside ``_latest.json`` is ever overwritten."""

    bucket: str
    run_key: str

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    @property
    def work_list(self) -> str:
        """Parquet of the images to featurize; schema in :mod:`fruit_contract.work_list`."""
        return f"Results/work_list/run={self.run_key}/images.parquet"

    @property
    def draft(self) -> str:
        """Parquet of the manifest as it will be if no photo is rejected."""
        return f"Results/work_list/run={self.run_key}/manifest.parquet"

    @property
    def manifest(self) -> str:
        """Parquet of every row that the result refers to: see :mod:`fruit_contract.manifest`."""
        return f"Results/manifest/run={self.run_key}/"

    @property
    def source(self) -> str:
        """The folder of :attr:`features`, as a manifest names it."""
        return f"run={self.run_key}"

    @property
    def features(self) -> str:
        """Parquet of path, label, features (float32 vector) or, for a rejected image, reason."""
        return f"{FEATURES_PREFIX}{self.source}/"

    @property
    def compacted(self) -> str:
        """The features of all live photos in few files, where this run has written them anew."""
        return f"{FEATURES_PREFIX}compacted={self.run_key}/"

    @property
    def rejected(self) -> str:
        return f"Results/rejected/run={self.run_key}/"

    @property
    def pca_output(self) -> str:
        return f"Results/pca_output/run={self.run_key}/"

    @property
    def pca_model(self) -> str:
        return f"Results/pca_model/run={self.run_key}/"

    @property
    def reports(self) -> str:
        return f"{REPORTS_PREFIX}{self.run_key}/"

    @property
    def report(self) -> str:
        return f"{self.reports}{REPORT_NAME}"

    @property
    def variance_plot(self) -> str:
        return f"{self.reports}variance.png"

    @property
    def featurize_metrics(self) -> str:
        return f"{self.reports}featurize.json"

    @property
    def reduce_metrics(self) -> str:
        return f"{self.reports}reduce.json"


def artifact_key(sha256: str, name: str) -> str:
    """Where an artifact of this content lives; the same bytes always have the same key."""
    return f"artifacts/{sha256}/{name}"


LOGS_PREFIX: Final = "logs/"
