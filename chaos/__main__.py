"""``python -m chaos``: play every scenario, print the table, and fail when one did not end as it must."""

import contextlib
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from local_aws.control import Control
from rich.console import Console

from chaos import scenarios, sequences, table
from chaos.driver import DAG_ID, PREFIX, Arena, Scenario, Seen
from local_run import account, images, upload
from local_run.airflow_server import free_port
from local_run.stack import Paths, Stack, running

BUCKET: Final = "fruits-chaos"
REGION: Final = "eu-west-1"
TIME_FACTOR: Final = 200.0
"""How much faster than EMR's clusters come and go."""
LIMIT_FACTOR: Final = 30.0
"""How much faster idle limits and lifetimes run out: 15 minutes of idleness last 30 s."""
PHOTOS: Final = 24
_QUICK_TO_NOTICE: Final = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}
"""Airflow finds out in seconds, not minutes, that one of its processes is gone."""
_FEW_SECONDS: Final = {"FRUITS_TASK_MINUTES": "0.15"}

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console()


@cli.command()
def main(
    seed: Annotated[int, typer.Option(help="seed of the random sequences")] = 1,
    only: Annotated[str, typer.Option(help="play only scenarios whose name has these words")] = "",
    document: Annotated[Path | None, typer.Option(help="write the table into this document")] = None,
    examples: Annotated[int, typer.Option(help="how many random sequences to play")] = 60,
) -> None:
    """Play the scenarios and the random sequences."""
    found: list[Seen] = []
    for group, settings in ((scenarios.scenarios, {}), (scenarios.timeouts, _FEW_SECONDS)):
        wanted = [scenario for scenario in group() if only in scenario.name]
        if wanted:
            found += _play(wanted, settings)
    console.print("Random sequences of what can happen to clusters")
    sequences.play(seed, examples)
    console.print(table.on_terminal(found))
    console.print(table.verdict(found))
    if document is not None:
        table.write(document, found, seed, examples)
    if not all(seen.as_expected for seen in found):
        raise typer.Exit(1)


def _play(wanted: Sequence[Scenario], settings: dict[str, str]) -> Iterator[Seen]:
    with _arena(settings) as arena:
        for scenario in [*_baseline(wanted), *wanted]:
            console.print(f"[cyan]>[/] {scenario.name}", highlight=False)
            seen = arena.play(scenario)
            mark = "[green]as expected[/]" if seen.as_expected else "[bold red]NOT as expected[/]"
            what = seen.problem or seen.end
            console.print(f"  {seen.seconds:5.1f} s  {what}: {mark}", highlight=False)
            if scenario in wanted:
                yield seen


def _baseline(wanted: Sequence[Scenario]) -> list[Scenario]:
    """The run whose result all others must leave readable."""
    first = next(scenarios.scenarios())
    return [] if wanted[0].name == first.name else [first]


@contextlib.contextmanager
def _arena(settings: dict[str, str]) -> Iterator[Arena]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        repository = Path(__file__).resolve().parents[1]
        paths = Paths(repository, Path(folder), Path(folder) / "out")
        stack = Stack(
            paths,
            free_port(),
            BUCKET,
            TIME_FACTOR,
            limit_factor=LIMIT_FACTOR,
            settings={**_QUICK_TO_NOTICE, **settings},
        )
        stack.airflow.migrate()
        with running(stack):
            api = stack.start_airflow()
            arena = Arena(stack, api, Control(stack.aws["AWS_ENDPOINT_URL_EMR"]), BUCKET)
            account.create_bucket(arena.s3, BUCKET, REGION)
            account.create_roles(stack.client("iam"), stack.deployment)
            photos = images.generate(paths.state / "images", PHOTOS)
            upload.mirror(arena.s3, photos, BUCKET, PREFIX, Console(quiet=True))
            api.wait_until_ready(DAG_ID)
            yield arena


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(cli())
