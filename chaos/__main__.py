"""``python -m chaos``: play every scenario, print the table, and fail when one did not end as it must."""

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos import scenarios, sequences, table
from chaos.driver import Scenario, Seen
from chaos.system import FEW_SECONDS, arena

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
    for group, settings in ((scenarios.scenarios, {}), (scenarios.timeouts, FEW_SECONDS)):
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
    with arena(settings) as there:
        for scenario in [*_baseline(wanted), *wanted]:
            console.print(f"[cyan]>[/] {scenario.name}", highlight=False)
            seen = there.play(scenario)
            mark = "[green]as expected[/]" if seen.as_expected else "[bold red]NOT as expected[/]"
            what = seen.problem or seen.end
            console.print(f"  {seen.seconds:5.1f} s  {what}: {mark}", highlight=False)
            if scenario in wanted:
                yield seen


def _baseline(wanted: Sequence[Scenario]) -> list[Scenario]:
    """The run whose result all others must leave readable."""
    first = next(scenarios.scenarios())
    return [] if wanted[0].name == first.name else [first]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(cli())
