"""``python -m local_run.seed [FOLDER]``: what a run expects to find in a local account, made there.

The bucket, the two roles, and photos: those of a folder with one sub-folder per label, or generated
ones where the bucket has none yet. Which account is what the environment says, as for the pipeline;
one that is not on this machine is refused.
"""

import os
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import boto3
import typer
from botocore.config import Config
from rich.console import Console
from rich.markup import escape

from fruit_pipeline import command_line
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from local_run import bucket_sync, generated_photos, local_account

PHOTOS = 600
"""How many are generated, unless somebody says how many."""

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(soft_wrap=True)


class NotLocalError(Exception):
    """The account is not a local one; the message says what to set."""


def check_is_local(url: str | None) -> None:
    """Only an endpoint on loopback may be given a bucket, roles and photos of nobody's asking."""
    host = urlsplit(url or "").hostname or ""
    try:
        local = ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost"
    if not local:
        raise NotLocalError(
            f"AWS_ENDPOINT_URL is {url!r}, which is not on this machine: photos and roles are made in local "
            "AWS only. Set it to local AWS's address."
        )


def seed(folder: Path | None, count: int, console: Console) -> None:
    """Make bucket, roles and photos; what is there is kept, unless ``folder`` says which photos to have."""
    check_is_local(os.environ.get("AWS_ENDPOINT_URL"))
    deployment = Deployment()
    s3 = boto3.client("s3", config=Config(max_pool_connections=bucket_sync.IN_FLIGHT))
    local_account.create_bucket(s3, deployment.bucket, deployment.region)
    local_account.create_roles(boto3.client("iam"), deployment)
    put_photos(s3, deployment.bucket, folder, count, console)


def put_photos(s3: Any, bucket: str, folder: Path | None, count: int, console: Console) -> None:
    """Those of ``folder``; without one, ``count`` generated ones where the bucket has none yet."""
    prefix = str(RunParameters.model_fields["input_prefix"].default)
    if folder is None and s3.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)["KeyCount"]:
        console.print(f"Photos are there already: s3://{bucket}/{prefix} is left as it is")
        return
    with tempfile.TemporaryDirectory() as scratch:
        source = folder or generated_photos.generate(Path(scratch), count)
        summary = bucket_sync.mirror(s3, source, bucket, prefix, console)
    console.print(
        f"s3://{bucket}/{prefix}: {summary.uploaded} photos uploaded, "
        f"{summary.already_there} already there, {summary.removed} removed"
    )


@cli.command()
def main(
    folder: Annotated[Path | None, typer.Argument(help="folder with one sub-folder per label")] = None,
    count: Annotated[int, typer.Option(help="how many photos to generate without a folder", min=1)] = PHOTOS,
) -> None:
    """Make the bucket, the roles and the photos that a run needs, in local AWS."""
    seed(folder, count, console)


def run() -> int:
    try:
        return command_line.call(cli)
    except (command_line.UsageError, NotLocalError, bucket_sync.ImagesError) as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return 2


if __name__ == "__main__":
    sys.exit(run())
