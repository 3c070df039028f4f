"""The table of what was seen: on the terminal, and in docs/evidence/chaos.md between two marks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.table import Table

from chaos.driver import Seen
from evidence import marked_text

COLUMNS: Final = (
    "scenario",
    "steps",
    "expected",
    "seen",
    "clusters",
    "left",
    "twice",
    "seconds after",
    "old result",
)
_STEPS: Final = ("Spark", "PCA", "train", "replayed")
"""What Spark does itself, by how many steps are replayed: all, from that one on, or nothing."""


def cells(seen: Seen) -> tuple[str, ...]:
    return (
        seen.scenario,
        _STEPS[seen.steps_replayed],
        seen.expected,
        seen.end if seen.problem is None else f"{seen.end} ({seen.problem})",
        str(seen.clusters),
        str(seen.left),
        str(seen.duplicates),
        f"{seen.seconds_after:.1f}",
        "readable" if seen.old_result_readable else "LOST",
    )


def on_terminal(outcomes: Sequence[Seen]) -> Table:
    table = Table(title="make chaos", title_justify="left")
    for name in COLUMNS:
        table.add_column(name)
    for seen in outcomes:
        table.add_row(*cells(seen), style="" if seen.as_expected else "bold red")
    return table


def verdict(outcomes: Sequence[Seen], seconds: float) -> str:
    """One sentence that counts; ``seconds`` is how long it took to play them all."""
    right = sum(seen.as_expected for seen in outcomes)
    return (
        f"{right} of {len(outcomes)} scenarios ended as expected; "
        f"{sum(seen.left for seen in outcomes)} clusters left, "
        f"{sum(seen.duplicates for seen in outcomes)} made twice, "
        f"{seconds / 60:.0f} minutes."
    )


def write(path: Path, outcomes: Sequence[Seen], seconds: float, seed: int, sequences: int | None) -> None:
    """Replace what stands between the marks of the document by this table.

    ``sequences`` is how many random ones were played; None before they were.
    """
    kept = "Random sequences: not played yet." if sequences is None else ""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, SEED={seed}: {verdict(outcomes, seconds)} "
        f"{kept or f'{sequences} random sequences kept every promise.'}",
        "",
        *marked_text.table(COLUMNS, map(cells, outcomes)),
    ]
    marked_text.write(path, lines)


def write_again(path: Path, outcomes: Sequence[Seen]) -> None:
    """Replace the rows of these scenarios alone, and say below the table that they were played again."""
    again = {_start(seen): _line(seen) for seen in outcomes}
    names = "; ".join(seen.scenario for seen in outcomes)

    rows = [
        next((line for start, line in again.items() if row.startswith(start)), row)
        for row in marked_text.read(path)
    ]
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    marked_text.write(path, [*rows, "", f"Played again by themselves on {today}: {names}."])


def _line(seen: Seen) -> str:
    return f"| {' | '.join(cells(seen))} |"


def _start(seen: Seen) -> str:
    return f"| {seen.scenario} |"
