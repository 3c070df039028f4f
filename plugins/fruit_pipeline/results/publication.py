"""The pointer to the current result, moved by a conditional write, and the small JSON documents of a run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from fruit_contract.layout import FORMER_LATEST_KEY, LATEST_KEY, RunLayout
from fruit_contract.report_schema import ModelFacts, ReduceMetrics
from fruit_pipeline.errors import PipelineError, UnreadableError
from fruit_pipeline.settings.deployment import MOST_KEPT_RUNS

_POINTER_BYTES: Final = 32 * 1024
"""The pointer is filled up with blanks to this size, always the same: some readers (pyarrow) ask for the size
first and then for so many bytes, and would cut off a longer pointer that was written in between."""
_ATTEMPTS: Final = 5


class PublicationError(PipelineError):
    """The pointer is not what it was when the run was planned, so it is not moved; one sentence."""


class MetricsError(PipelineError):
    """What a step leaves for those after it is not there."""


class FeatureIdentity(TypedDict):
    """What makes the features of a photo the same ones: another value here, and all are computed anew."""

    fingerprint: str
    """SHA-256 of the model file, hex."""
    image_size: int
    precision: str
    engine: str
    reader: str
    input_prefix: str


class Training(TypedDict):
    """What a run asks of the train step: where it is the same, so would the classifier be."""

    classifier: str
    split: str
    session_pattern: str | None


class Published(TypedDict):
    """A run whose result is, or was, the current one."""

    run_key: str
    published_at: str


class Pointer(TypedDict):
    """``latest.json``: which result is current, and what the next run needs to build on it."""

    run_id: str
    run_key: str
    pca_output: str
    pca_model: str
    report: str
    published_at: str
    manifest: str
    files: str
    features: FeatureIdentity
    model: ModelFacts
    components: int
    share_asked: float | None
    """Of the variance; None where a number of components was asked for."""
    rows: int
    """Photos that have a row in the result."""
    solver: str
    scaling: str
    explained_variance: float
    training: Training | None
    """What the run of the result asked for; None where it asked for no classifier."""
    classifier: str | None
    """The folder of the current classifier; None where there is none of these features."""
    classifier_run: str | None
    """The run that has trained it, which may be an older one."""
    previous: list[Published]
    """What was current before, the newest first."""


@dataclass(frozen=True)
class Current:
    """The pointer as it was read, and its ETag as S3 gives it; both None where there is no result yet.

    A pointer that lies at its former address alone has no ETag: the next one is the first at the new address.
    """

    pointer: dict[str, Any] | None
    etag: str | None

    @property
    def published(self) -> list[str]:
        """Keys of the runs that are or were current, the newest first."""
        if self.pointer is None:
            return []
        before = self.pointer.get("previous", [])
        return [self.pointer["run_key"], *(run["run_key"] for run in before)]

    def manifest(self, bucket: str) -> str | None:
        """The prefix of the current result's manifest; None for a result that has none."""
        if not self.pointer or "manifest" not in self.pointer:
            return None
        return RunLayout(bucket, self.pointer["run_key"]).manifest


def read_pointer(s3: Any, bucket: str, *, unreadable: bool = False) -> Current:
    """What is current; ``UnreadableError`` for a pointer that is none, but with ``unreadable``.

    Then such a pointer counts for nothing, but for its ETag: it is replaced by the next result.
    """
    for key in (LATEST_KEY, FORMER_LATEST_KEY):
        try:
            answer = s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if _code(error) != "NoSuchKey":
                raise
            continue
        etag = answer["ETag"] if key == LATEST_KEY else None
        try:
            current = Current(json.loads(answer["Body"].read()), etag)
            _ = current.published
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if not unreadable:
                raise UnreadableError(bucket, key, error) from error
            return Current(None, etag)
        return current
    return Current(None, None)


def pointer_to(
    layout: RunLayout,
    run_id: str,
    features: FeatureIdentity,
    model: ModelFacts,
    reduced: ReduceMetrics,
    training: Training | None = None,
    classifier_run: str | None = None,
) -> Pointer:
    """The pointer to this run's result. What was current before is added when it is moved."""
    named = RunLayout(layout.bucket, classifier_run) if classifier_run else None
    return Pointer(
        run_id=run_id,
        run_key=layout.run_key,
        pca_output=layout.uri(layout.pca_output),
        pca_model=layout.uri(layout.pca_model),
        report=layout.uri(layout.report),
        published_at=datetime.now(UTC).isoformat(timespec="seconds"),
        manifest=layout.uri(layout.manifest),
        files=layout.uri(layout.files),
        features=features,
        model=model,
        components=reduced["components"],
        share_asked=reduced["share_asked"],
        rows=reduced["rows"],
        solver=reduced["solver"],
        scaling=reduced["scaling"],
        explained_variance=reduced["explained_variance"],
        training=training,
        classifier=layout.uri(named.classifier) if named else None,
        classifier_run=classifier_run,
        previous=[],
    )


def move_pointer(s3: Any, bucket: str, pointer: Pointer, planned_on: str | None) -> dict[str, Any]:
    """Make ``pointer`` the current one, if the current one is still that of ETag ``planned_on``.

    S3 itself compares (https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html), so
    that neither an older run nor one at the same time replaces a newer result. A pointer that is there
    already, from an attempt whose answer was lost, is a success. A reader sees the old result or the new
    one, whole. Returns what is current; ``PublicationError`` where that is another run's.
    """
    before = read_pointer(s3, bucket, unreadable=True)
    if before.pointer is not None and before.pointer["run_key"] == pointer["run_key"]:
        return before.pointer
    if before.etag != planned_on:
        raise _refusal(bucket, pointer, before)
    moved: dict[str, Any] = {**pointer, "previous": _previous(before.pointer)}
    condition = {"IfMatch": planned_on} if planned_on else {"IfNoneMatch": "*"}
    try:
        _put(s3, bucket, LATEST_KEY, _as_json(moved).ljust(_POINTER_BYTES), condition)
    except ClientError as error:
        if _code(error) not in ("PreconditionFailed", "NoSuchKey"):
            raise
        now = read_pointer(s3, bucket, unreadable=True)
        if now.pointer is None or now.pointer["run_key"] != pointer["run_key"]:
            raise _refusal(bucket, pointer, now) from error
        return now.pointer
    return moved


def copy_to_former_address(s3: Any, bucket: str) -> None:
    """Whatever is current by now."""
    _put(s3, bucket, FORMER_LATEST_KEY, s3.get_object(Bucket=bucket, Key=LATEST_KEY)["Body"].read(), {})


def _previous(before: Mapping[str, Any] | None) -> list[Published]:
    if before is None:
        return []
    newest = Published(run_key=before["run_key"], published_at=before["published_at"])
    return [newest, *before.get("previous", [])][: MOST_KEPT_RUNS - 1]


def _refusal(bucket: str, pointer: Pointer, now: Current) -> PublicationError:
    what = f"that of run {now.pointer['run_key']!r}" if now.pointer else "gone"
    return PublicationError(
        f"The result of run {pointer['run_key']!r} is not published: s3://{bucket}/{LATEST_KEY} was moved "
        f"since the run was planned, and is now {what}. Trigger a new run: it builds on what is current."
    )


def write_json(s3: Any, bucket: str, key: str, document: Any) -> None:
    _put(s3, bucket, key, _as_json(document), {})


def write_new_json(s3: Any, bucket: str, key: str, document: Any) -> bool:
    """Write the document where there is none yet; whether it was written."""
    return write_new(s3, bucket, key, _as_json(document))


def write_new(s3: Any, bucket: str, key: str, content: bytes) -> bool:
    """Write the bytes where no object is yet; whether they were written."""
    try:
        _put(s3, bucket, key, content, {"IfNoneMatch": "*"})
    except ClientError as error:
        if _code(error) != "PreconditionFailed":
            raise
        return False
    return True


def _as_json(document: Any) -> bytes:
    return json.dumps(document, indent=2, ensure_ascii=False).encode()


def _put(s3: Any, bucket: str, key: str, body: bytes, condition: Mapping[str, str]) -> None:
    # S3 answers so while another conditional write of the key is under way, and asks to try again.
    tries = Retrying(
        retry=retry_if_exception(lambda error: _code(error) == "ConditionalRequestConflict"),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    )
    tries(s3.put_object, Bucket=bucket, Key=key, Body=body, ContentType="application/json", **condition)


def _code(error: BaseException) -> str | None:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else None


def read_json(s3: Any, bucket: str, key: str) -> Any | None:
    """The document, or None where there is none; ``UnreadableError`` where it is no JSON."""
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    except ValueError as error:
        raise UnreadableError(bucket, key, error) from error
