"""``python -m fruit_pipeline.upload``: upload a folder of photos to a bucket in the EU."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Annotated, Any, Final

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from fruit_contract.layout import INPUT_PREFIX
from fruit_pipeline import command_line
from fruit_pipeline.aws import no_answer, retries
from fruit_pipeline.aws.fast_sessions import made_fast
from fruit_pipeline.photos.bucket_listing import ListingError
from fruit_pipeline.security import residency
from fruit_pipeline.security.regions import ResidencyError, check_environment, check_region
from fruit_pipeline.settings.parameters import ParameterError, RunParameters
from fruit_pipeline.upload.folder import ImagesError, read_folder
from fruit_pipeline.upload.uploading import IN_FLIGHT, Summary, send
from fruit_pipeline.upload.what_follows import what_follows

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console: Final = Console(soft_wrap=True)
_SHOWN: Final = 5
"""Files, or pairs of keys, that are named; the rest is counted."""
_CALLED: Final = {
    "bucket": "BUCKET= (--bucket)",
    "input_prefix": "PREFIX= (--prefix)",
    "region": "REGION= (--region)",
}
"""The parameters of a run that are options here, and make's variables."""
_PATIENT: Final = Config(connect_timeout=10, max_pool_connections=IN_FLIGHT, **retries.REPEATED)
_BRIEF: Final = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
"""Of the first question: whoever has mistyped an address is told so in seconds, not after two minutes."""
_UNREADABLE, _WRONG_INPUT, _INTERRUPTED = 1, 2, 130


@cli.command()
def main(
    bucket: Annotated[str, typer.Option(envvar="FRUITS_BUCKET", help="the name of a bucket in the region")],
    images: Annotated[Path, typer.Option(help="a folder with one sub-folder per label")],
    prefix: Annotated[str, typer.Option(help="where the photos go in the bucket")] = INPUT_PREFIX,
    region: Annotated[str, typer.Option(envvar="FRUITS_REGION", help="an EU region")] = "eu-west-1",
) -> None:
    """Upload the photos of a folder. What is there with the same bytes is not sent again.

    Credentials are those of the environment. Exit code 1: some files could not be read. 2: nothing, or not
    all, was uploaded, and why is said. 130: interrupted; the same command goes on where it stopped.
    """
    RunParameters.checked({"bucket": bucket, "input_prefix": prefix, "region": region}, _CALLED)
    if {"", ".", ".."} & set(prefix.split("/")[:-1]):
        plain = "".join(f"{part}/" for part in prefix.split("/") if part.strip(".")) or INPUT_PREFIX
        raise ParameterError(
            f"PREFIX= (--prefix) is {prefix!r}: S3 has no empty folder and no dots: write {plain}."
        )
    folder = read_folder(images, prefix).without_empty()
    s3 = client_of(region, bucket)
    summary, began = Summary(), time.monotonic()
    try:
        send(s3, folder, bucket, prefix, console, summary)
    except KeyboardInterrupt:
        console.print("Interrupted: the same command uploads the rest.")
        raise typer.Exit(_INTERRUPTED) from None
    except (ClientError, BotoCoreError):
        console.print("The upload stopped: the same command uploads the rest.")
        raise
    finally:
        show(summary, f"s3://{bucket}/{prefix}", len(folder.photos), time.monotonic() - began)
    if summary.uploaded:
        _say(what_follows(s3, bucket, prefix))
    if any("cannot be read" in each.reason for each in summary.skipped):
        raise typer.Exit(_UNREADABLE)


def client_of(region: str, bucket: str) -> Any:
    """An S3 client that has been shown to stay in the EU, and the bucket with it."""
    check_region(region, "REGION")
    check_environment(os.environ)
    session = made_fast(boto3.Session(region_name=region))
    s3 = session.client("s3", config=_PATIENT)
    residency.check_client(s3, "s3")
    location = residency.location_of(session.client("s3", config=_BRIEF), bucket)
    if location != region:
        raise ResidencyError(f"Bucket {bucket!r} lies in {location}: set REGION={location}.")
    residency.check_replication(s3, bucket)
    return s3


def show(summary: Summary, target: str, photos: int, seconds: float) -> None:
    """What was uploaded, what was not, and why."""
    done = summary.uploaded + summary.already_there
    left = f"{photos - done:,} of {photos:,} not, " if done < photos else ""
    console.print(
        f"{target}: {summary.uploaded:,} uploaded ({summary.uploaded_bytes / 1e6:,.1f} MB), "
        f"{summary.already_there:,} already there, {left}{seconds:.0f} s",
        highlight=False,
        markup=False,
    )
    for reason, number in summary.reasons.items():
        named = [each.path for each in summary.skipped if each.reason == reason][:_SHOWN]
        more = f" and {number - len(named):,} more" if number > len(named) else ""
        files = "file" if number == 1 else "files"
        _say(f"  skipped {number:,} {files}, each {reason}: {', '.join(map(repr, named))}{more}")
    for alike in summary.twins[:_SHOWN]:
        _say(f"  warning: these differ in case or Unicode form alone, and are different photos: {alike!a}")
    if len(summary.twins) > _SHOWN:
        _say(f"  warning: so do the keys of {len(summary.twins) - _SHOWN:,} other names")


def _say(text: str) -> None:
    # A name may hold brackets, which are rich's markup, and bytes that no terminal can show.
    console.print(text.encode(errors="backslashreplace").decode(), highlight=False, markup=False)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def run() -> int:
    """Run the command; what is wrong is one sentence and exit code 2."""
    # SIGINT too: a shell starts its background jobs with Ctrl-C ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return command_line.call(cli, of_make=True)
    except (command_line.UsageError, ImagesError, ParameterError, ResidencyError, ListingError) as error:
        _say(f"error: {error}")
    except ClientError as error:
        _say(f"error: S3 refuses: {error}")
    except BotoCoreError as error:
        _say(f"error: {no_answer.why(error)}")
    return _WRONG_INPUT


if __name__ == "__main__":
    sys.exit(run())
