"""``python -m chaos``: play every scenario, print the table, and fail when one did not end as it must."""

import signal
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from airflow.sdk.log import configure_logging
from rich.console import Console
from rich.markup import escape

from chaos import lanes, scenarios, sequences, table
from chaos.driver import Seen
from fruit_pipeline import command_line
from local_aws import real_account

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
# A log has no width of its own: that of the table's longest rows.
console = Console(width=None if sys.stdout.isatty() else 160)


@cli.command()
def main(
    seed: Annotated[int, typer.Option(help="seed of the random sequences")] = 1,
    only: Annotated[str, typer.Option(help="play only scenarios whose name has these words")] = "",
    document: Annotated[
        Path | None, typer.Option(help="write the table, or with --only its rows, into this document")
    ] = None,
    examples: Annotated[int, typer.Option(help="how many random sequences to play")] = 60,
) -> None:
    """Play the scenarios and the random sequences."""
    wanted = [each for each in scenarios.scenarios() if only in each.name]
    if not wanted:
        raise typer.BadParameter(f"No scenario has ONLY={only!r} in its name: leave it out to play all.")
    began = time.monotonic()
    outcomes = lanes.play(wanted, _tell)
    seconds = time.monotonic() - began
    console.print(table.on_terminal(outcomes))
    console.print(table.verdict(outcomes, seconds))
    if document is not None:
        if only:
            table.write_again(document, outcomes)
        else:
            # Before the sequences: one that breaks a promise raises, and must not take the table with it.
            table.write(document, outcomes, seconds, seed, None)
    if not only:
        console.print("Random sequences of what can happen to clusters")
        # What the operators say is about faults that are meant; what breaks a promise is raised.
        configure_logging(log_level="CRITICAL")
        sequences.play(seed, examples)
        if document is not None:
            table.write(document, outcomes, time.monotonic() - began, seed, examples)
    if not all(seen.as_expected for seen in outcomes):
        raise typer.Exit(1)


def _tell(seen: Seen) -> None:
    mark = "[green]as expected[/]" if seen.as_expected else "[bold red]NOT as expected[/]"
    console.print(
        f"{seen.seconds:5.1f} s  {seen.scenario}: {seen.problem or seen.end}, {mark}", highlight=False
    )


def run() -> int:
    try:
        return command_line.call(cli, of_make=True)
    except command_line.UsageError as error:
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return 2


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lanes.interrupt)
    real_account.forget_it()
    sys.exit(run())
