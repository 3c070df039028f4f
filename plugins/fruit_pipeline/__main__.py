"""``python -m fruit_pipeline``: what a person or cron can do when Airflow itself is gone."""

import logging
from datetime import UTC, datetime
from typing import Annotated

import boto3
import typer
from botocore.config import Config

from fruit_pipeline import reaper, retries
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.regions import EU_REGIONS

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
    deployment, config = Deployment(), Config(**retries.PATIENT)
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


if __name__ == "__main__":
    cli()
