"""``python -m fruit_pipeline``: commands for a person or cron when Airflow is gone."""

import logging
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fruit_contract.layout import RUN_INDEX_KEY, split_uri
from fruit_pipeline import command_line
from fruit_pipeline.aws import retries
from fruit_pipeline.cluster import reaper
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results import run_index
from fruit_pipeline.security import residency
from fruit_pipeline.security.regions import EU_REGIONS, ResidencyError
from fruit_pipeline.settings.deployment import MOST_KEPT_RUNS, Deployment

_INTERRUPTED: Final = 130

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@cli.callback()
def main() -> None:
    """Commands of the fruit pipeline that need AWS credentials and no Airflow."""


@cli.command()
def reap(
    region: Annotated[list[str], typer.Option(help="an EU region to look at; may be given several times")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be done, and do nothing")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="end every cluster of this installation, live runs' too")
    ] = False,
    installation: Annotated[
        str | None,
        typer.Option(help="name of the Airflow that made the clusters; default FRUITS_INSTALLATION"),
    ] = None,
) -> None:
    """End clusters that are older than their run's max_hours, or, with --all, every cluster of the pipeline.

    Exit code 0: looked everywhere and ended what had to end. 1: something could not be looked at or ended.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for name in region:
        if name not in EU_REGIONS:
            raise typer.BadParameter(f"{name!r} is not in the EU: choose among {', '.join(EU_REGIONS)}.")
    # Made in any case: it refuses an endpoint that the environment names outside the EU.
    deployment, config = Deployment(), Config(**retries.REPEATED)
    done = reaper.sweep(
        [(name, boto3.client("emr", region_name=name, config=config)) for name in region],
        installation or deployment.installation,
        datetime.now(UTC),
        is_alive=None,
        dry_run=dry_run,
        reap_all=everything,
    )
    typer.echo(f"{done}{' (dry run)' if dry_run else ''}.")
    for what, error in done.failed.items():
        typer.echo(f"{what}: {error}", err=True)
    if done.failed:
        raise typer.Exit(1)


@cli.command()
def clean(
    bucket: Annotated[str, typer.Option(help="the bucket of the results")],
    region: Annotated[str, typer.Option(help="the EU region in which it lies")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="say what would be removed, and remove nothing")
    ] = False,
    keep_runs: Annotated[
        int | None,
        typer.Option(
            min=1, max=MOST_KEPT_RUNS, help="published runs whose files are kept; default FRUITS_KEEP_RUNS"
        ),
    ] = None,
) -> None:
    """Remove what the last published results do not refer to; reports and photos are never touched.

    Exit code 0: done. 1: S3 refused something.
    """
    from fruit_pipeline.results import garbage  # pyarrow is slow to import

    s3 = _s3(region)
    try:
        residency.check_client(s3, "s3")
        done = garbage.collect(s3, bucket, keep_runs or Deployment().keep_runs, dry_run=dry_run)
    except (garbage.GarbageError, ResidencyError, BotoCoreError, ClientError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for folder in done.removed:
        typer.echo(folder)
    typer.echo(f"{done}{' (dry run)' if dry_run else ''}.")


@cli.command()
def index(
    bucket: Annotated[str, typer.Option(help="the bucket of the results")],
    region: Annotated[str, typer.Option(help="the EU region in which it lies")],
) -> None:
    """Write the index of all runs anew from their reports.

    Exit code 0: done. 1: S3 refused something.
    """
    s3 = _s3(region)
    try:
        residency.check_client(s3, "s3")
        lines = run_index.rebuild(s3, bucket)
    except (ResidencyError, BotoCoreError, ClientError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{lines} runs are in s3://{bucket}/{RUN_INDEX_KEY}.")


@cli.command()
def export(
    to: Annotated[
        Path, typer.Option(help="a new file: .csv, .parquet, or .npy with a .csv of path and label beside it")
    ],
    result: Annotated[
        str, typer.Option(help="folder of a result, or s3://bucket for its current one")
    ] = "out/latest",
    region: Annotated[
        str, typer.Option(envvar="FRUITS_REGION", help="EU region of the bucket")
    ] = "eu-west-1",
) -> None:
    """Write the current result to one file.

    Exit code 0: done. 1: nothing was written, and why is said. 130: interrupted, nothing was written.
    """
    from rich.console import Console

    from fruit_pipeline.export import exporting, result_rows  # pyarrow is slow to import

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        exporting.check_target(to)
        if result.startswith("s3://"):
            rows = result_rows.rows_in_bucket(*_bucket(result, region))
        else:
            rows = result_rows.rows_in_folder(Path(result))
        table = exporting.export(rows, to, Console(stderr=True))
    except KeyboardInterrupt:
        typer.echo("Interrupted: nothing was written.", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    except (PipelineError, BotoCoreError, ClientError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(
            f"error: {to} could not be written ({error.strerror or error}): choose another place.", err=True
        )
        raise typer.Exit(1) from None
    typer.echo(f"{table.rows:,} rows of {table.components} components are in {to}.")


def _bucket(address: str, region: str) -> tuple[Any, str]:
    """The client of the bucket at ``s3://bucket``, and its name."""
    try:
        bucket, key = split_uri(address)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if key:
        raise typer.BadParameter(f"{address} is more than a bucket: name s3://{bucket}, whose result counts.")
    s3 = _s3(region)
    residency.check_client(s3, "s3")
    if (location := residency.location_of(s3, bucket)) != region:
        raise ResidencyError(f"Bucket {bucket!r} lies in {location}: set --region={location}.")
    return s3, bucket


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _s3(region: str) -> Any:
    if region not in EU_REGIONS:
        raise typer.BadParameter(f"{region!r} is not in the EU: choose among {', '.join(EU_REGIONS)}.")
    return boto3.client("s3", region_name=region, config=Config(**retries.REPEATED))


def run() -> int:
    """Run the command; wrong words are one sentence and exit code 2."""
    try:
        # Of these commands make has one alone.
        return command_line.call(cli, of_make=sys.argv[1:2] == ["export"])
    except command_line.UsageError as error:
        typer.echo(f"error: {error}", err=True)
        return 2


if __name__ == "__main__":
    sys.exit(run())
