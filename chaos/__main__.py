"""``python -m chaos``: play every scenario, print the table, and fail when one did not end as it must."""

import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from chaos import scenarios, sequences, table
from chaos.driver import Arena, Scenario, Seen
from chaos.system import FEW_SECONDS, arena

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
    ordinary = [scenario for scenario in scenarios.scenarios() if only in scenario.name]
    cut_off = [scenario for scenario in scenarios.timeouts() if only in scenario.name]
    if not ordinary and not cut_off:
        raise typer.BadParameter(f"No scenario has {only!r} in its name.")
    found = list(_play(ordinary, cut_off))
    console.print(table.on_terminal(found))
    console.print(table.verdict(found))
    if only and document is not None:
        table.write_again(document, found)
    if not only:
        # The table first: a sequence that breaks a promise raises, and must not take the table with it.
        _write(document, found, seed, None)
        console.print("Random sequences of what can happen to clusters")
        sequences.play(seed, examples)
        _write(document, found, seed, examples)
    if not all(seen.as_expected for seen in found):
        raise typer.Exit(1)


def _write(document: Path | None, found: Sequence[Seen], seed: int, examples: int | None) -> None:
    if document is not None:
        table.write(document, found, seed, examples)


def _play(ordinary: Sequence[Scenario], cut_off: Sequence[Scenario]) -> Iterator[Seen]:
    """All in one system; for the last ones its tasks are given a few seconds only."""
    with arena() as there:
        for scenario in [*_baseline(ordinary), *ordinary]:
            seen = _play_one(there, scenario)
            if scenario in ordinary:
                yield seen
        if cut_off:
            there.change_settings(FEW_SECONDS)
        for scenario in cut_off:
            yield _play_one(there, scenario)


def _play_one(there: Arena, scenario: Scenario) -> Seen:
    console.print(f"[cyan]>[/] {scenario.name}", highlight=False)
    seen = there.play(scenario)
    mark = "[green]as expected[/]" if seen.as_expected else "[bold red]NOT as expected[/]"
    console.print(f"  {seen.seconds:5.1f} s  {seen.problem or seen.end}: {mark}", highlight=False)
    return seen


def _baseline(wanted: Sequence[Scenario]) -> list[Scenario]:
    """The run whose result all others must leave readable."""
    first = next(scenarios.scenarios())
    return [] if wanted and wanted[0].name == first.name else [first]


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    sys.exit(cli())
