"""Every S3 key of the project, in one place.

Keys are any UTF-8 (spaces, ``+``, ``%``, ``#``, accents): they are never URL-encoded here. A URI
is ``s3://<bucket>/<key>`` with the key as it is.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

DAG_ID: Final = "fruit_features"
INPUT_PREFIX: Final = "Test/"
"""Where photos lie unless a run says otherwise, one folder a label."""
IMAGE_SUFFIXES: Final = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp")
IMAGE_NAMES: Final = f"{', '.join(IMAGE_SUFFIXES[:-1])} or {IMAGE_SUFFIXES[-1]}"
NO_SUFFIX: Final = "no suffix"
_LONGEST_SUFFIX = 10
WORK_LISTS_PREFIX: Final = "Results/work_list/run="
MANIFESTS_PREFIX: Final = "Results/manifest/run="
REJECTED_PREFIX: Final = "Results/rejected/run="
PCA_MODELS_PREFIX: Final = "Results/pca_model/run="
PCA_OUTPUTS_PREFIX: Final = "Results/pca_output/run="
CLASSIFIERS_PREFIX: Final = "Results/classifier/run="
REPORTS_PREFIX: Final = "Results/reports/run="
"""What a run writes lies below one of these and its key."""
RUN_INDEX_KEY: Final = "Results/reports/runs.jsonl"
"""A line about each run, the newest first: see :mod:`fruit_contract.run_summary`."""
LATEST_KEY: Final = "Results/latest.json"
FORMER_LATEST_KEY: Final = "Results/pca_output/_latest.json"
"""Where the pointer lay up to 0.1, and a copy lies until 0.3: readers of the folder take it for a result."""
ARTIFACTS_PREFIX: Final = "artifacts/"
LOGS_PREFIX: Final = "logs/"
OUTPUT_PREFIXES: Final = ("Results/", ARTIFACTS_PREFIX, LOGS_PREFIX)
"""Whatever a run writes lies below one of these."""
NOTEBOOKS_PREFIX: Final = "jupyter/"
"""Below it EMR's JupyterHub keeps the notebooks of each user: EMR Release Guide, "Configuring persistence for
notebooks in Amazon S3". They are people's."""
HUB_USER: Final = "jovyan"
"""The user that EMR's JupyterHub has by itself."""
RESERVED_PREFIXES: Final = (*OUTPUT_PREFIXES, NOTEBOOKS_PREFIX)
"""No photo may lie below one of these."""
FEATURES_PREFIX: Final = "Results/features/"
"""Below it lie the feature files of all runs, one folder a source: what a step has written in one go."""
CARRIED_NAME: Final = "carried.parquet"
"""The file of ``rejected`` with the photos that earlier runs rejected and that have not changed."""
FINISHED_NAME: Final = "_finished.parquet"
"""The file of a source with its own manifest: what the featurize step has made there, once all of it is.
Spark's readers pass over names that begin with an underscore."""
ATTEMPT_NAME: Final = "_attempt.json"
"""The file of a source that says of which photos and which model its features are."""
TRAIN_METRICS_NAME: Final = "train.json"
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
    """The key for a run whose first one is taken, from its second time on: see the module ``claims``.

    The plus sign stands in no run's first key.

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


def suffix_of(key: str) -> str:
    """The suffix of a file's name in lower case; ``NO_SUFFIX`` where it has none, or one that says nothing.

    >>> suffix_of("Test/Kiwi/IMG_1.HEIC"), suffix_of("Test/Kiwi/README")
    ('.heic', 'no suffix')
    """
    _, dot, suffix = key.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and 0 < len(suffix) <= _LONGEST_SUFFIX else NO_SUFFIX


def split_uri(uri: str) -> tuple[str, str]:
    """``s3://bucket/key`` (or s3a) as ``(bucket, key)``; ``ValueError`` for anything else."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if not separator or scheme not in ("s3", "s3a") or not bucket:
        raise ValueError(f"{uri!r} is not an S3 address: write it as s3://bucket/key.")
    return bucket, key


@dataclass(frozen=True)
class RunLayout:
    """The keys of one run in one bucket. Nothing but ``latest.json`` and ``progress`` is ever overwritten."""

    bucket: str
    run_key: str

    def uri(self, key: str) -> str:
        return f"s3://{self.bucket}/{key}"

    @property
    def work_list(self) -> str:
        """Parquet of the images to featurize; schema in :mod:`fruit_contract.work_list`."""
        return f"{WORK_LISTS_PREFIX}{self.run_key}/images.parquet"

    @property
    def draft(self) -> str:
        """Parquet of the manifest as it will be if no photo is rejected."""
        return f"{WORK_LISTS_PREFIX}{self.run_key}/manifest.parquet"

    @property
    def progress(self) -> str:
        """JSON of how far the featurize step is: see :mod:`fruit_contract.progress`.

        It lies with what is temporary. No result records it, as it does all files beside the features.
        """
        return f"{WORK_LISTS_PREFIX}{self.run_key}/progress.json"

    @property
    def manifest(self) -> str:
        """Parquet of every row that the result refers to: see :mod:`fruit_contract.manifest`."""
        return f"{MANIFESTS_PREFIX}{self.run_key}/"

    @property
    def files(self) -> str:
        """JSON of the files of the result, features included, with their sizes: see ``recorded_files``."""
        return f"{self.manifest}_files.json"

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
        return f"{REJECTED_PREFIX}{self.run_key}/"

    @property
    def pca_output(self) -> str:
        return f"{PCA_OUTPUTS_PREFIX}{self.run_key}/"

    @property
    def pca_model(self) -> str:
        return f"{PCA_MODELS_PREFIX}{self.run_key}/"

    @property
    def classifier(self) -> str:
        """The folder of the run's classifier: see :mod:`fruit_contract.classifier`."""
        return f"{CLASSIFIERS_PREFIX}{self.run_key}/"

    @property
    def reports(self) -> str:
        return f"{REPORTS_PREFIX}{self.run_key}/"

    @property
    def claim(self) -> str:
        """JSON of the run that writes below this key: see the module ``claims``."""
        return f"{self.reports}claim.json"

    @property
    def report(self) -> str:
        return f"{self.reports}{REPORT_NAME}"

    @property
    def neighbours(self) -> str:
        """Parquet of key and vector (int8, as bytes) of at most 100,000 photos, to find the nearest ones."""
        return f"{self.pca_model}neighbours/"

    @property
    def page(self) -> str:
        """The page of the result as one HTML file."""
        return f"{self.reports}report.html"

    @property
    def overview(self) -> str:
        """JSON for the page of the result: see :mod:`fruit_contract.overview`."""
        return f"{self.reports}overview.json"

    @property
    def variance_plot(self) -> str:
        return f"{self.reports}variance.png"

    @property
    def featurize_metrics(self) -> str:
        return f"{self.reports}featurize.json"

    @property
    def reduce_metrics(self) -> str:
        return f"{self.reports}reduce.json"

    @property
    def train_metrics(self) -> str:
        return f"{self.reports}{TRAIN_METRICS_NAME}"

    @property
    def confusion_plot(self) -> str:
        return f"{self.reports}confusion.png"

    @property
    def reliability_plot(self) -> str:
        return f"{self.reports}reliability.png"


def artifact_key(sha256: str, name: str) -> str:
    """Where an artifact of this content lives; the same bytes always have the same key."""
    return f"{ARTIFACTS_PREFIX}{sha256}/{name}"
