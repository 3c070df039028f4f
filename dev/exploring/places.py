"""Where the parts of a result lie: in a folder as ``make run`` leaves it, or in a bucket."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pyarrow import fs

from fruit_contract.layout import LATEST_KEY, RunLayout, split_uri
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.publication import read_pointer
from fruit_pipeline.security import residency

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_REGION: Final = "eu-west-1"


class ExploringError(PipelineError):
    """There is no result to explore; one sentence."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback."""
        return [f"{type(self).__name__}: {self}"]


@dataclass(frozen=True)
class Places:
    """The parts of a result by their paths in a file system of Arrow."""

    address: str
    store: Any
    """A ``pyarrow.fs.FileSystem``."""
    pca_output: str
    pca_model: str
    """The data of Spark's model."""
    rejected: str
    reports: str
    judgements: str
    """The reports of the run that has trained the current classifier, as far as they are there."""
    s3: Any = None
    """Client of the bucket."""


def places_of(address: str) -> Places:
    """``address`` is a folder, relative to the repository, or ``s3://bucket``.

    ``ExploringError`` where no result is there.
    """
    return _in_bucket(address) if "://" in address else _in_folder(address)


@contextmanager
def opening(address: str) -> Iterator[None]:
    """Whatever keeps a result from being read, as ``ExploringError``."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ExploringError(
            f"{address} cannot be read ({error}): sign in to AWS, or start `make up` before `make notebook` "
            "to read local AWS."
        ) from None
    except PipelineError as error:
        raise ExploringError(str(error)) from None
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExploringError(f"{address} cannot be read ({reason}): start a run again.") from None


def _in_folder(address: str) -> Places:
    folder = REPOSITORY / address
    if not any(folder.joinpath("pca_output").glob("*.parquet")):
        raise ExploringError(
            f"{address} holds no result, {address}/pca_output has no Parquet file: run `make run`, or name "
            "another in the line RESULT."
        )
    return Places(
        address,
        fs.LocalFileSystem(),
        pca_output=str(folder / "pca_output"),
        pca_model=str(folder / "pca_model" / "data"),
        rejected=str(folder / "rejected"),
        reports=str(folder),
        judgements=str(folder),
    )


def _in_bucket(address: str) -> Places:
    try:
        bucket, key = split_uri(address)
    except ValueError as error:
        raise ExploringError(str(error)) from None
    if key:
        raise ExploringError(f"{address} is more than a bucket: name s3://{bucket}, whose result counts.")
    s3 = _client(_REGION)
    residency.check_client(s3, "s3")
    s3 = _client(residency.location_of(s3, bucket))
    residency.check_client(s3, "s3")
    pointer = read_pointer(s3, bucket).pointer
    if pointer is None:
        raise ExploringError(f"s3://{bucket} has no result, {LATEST_KEY} is not there: start a run.")
    layout, trained_by = RunLayout(bucket, pointer["run_key"]), pointer.get("classifier_run")
    # The last run may have been refused a classifier, which its own reports tell.
    judged = RunLayout(bucket, trained_by) if trained_by else layout
    return Places(
        address,
        _store(s3),
        pca_output=f"{bucket}/{layout.pca_output}".rstrip("/"),
        pca_model=f"{bucket}/{layout.pca_model}data",
        rejected=f"{bucket}/{layout.rejected}".rstrip("/"),
        reports=f"{bucket}/{layout.reports}".rstrip("/"),
        judgements=f"{bucket}/{judged.reports}".rstrip("/"),
        s3=s3,
    )


def _client(region: str) -> Any:
    # Somebody waits before the notebook: fewer tries than a run has.
    return boto3.client("s3", region_name=region, config=Config(retries={"mode": "standard"}))


def _store(s3: Any) -> Any:
    """Arrow's own view of the bucket, with the client's credentials: it finds fewer by itself."""
    session = boto3.Session().get_credentials()
    known = session.get_frozen_credentials() if session else None
    scheme, _, endpoint = s3.meta.endpoint_url.partition("://")
    at_aws = endpoint.endswith(".amazonaws.com")
    return fs.S3FileSystem(
        access_key=known.access_key if known else None,
        secret_key=known.secret_key if known else None,
        session_token=known.token if known else None,
        region=s3.meta.region_name,
        scheme=scheme,
        # Arrow finds AWS's own by the region.
        endpoint_override=None if at_aws else endpoint,
    )
