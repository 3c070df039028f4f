"""The table of what was seen: on the terminal, and in docs/termination.md between two marks."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.table import Table

from chaos.driver import Seen

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
_STEPS: Final = ("Spark", "PCA", "replayed")
_BEGIN: Final = "<!-- written by make chaos: begin -->"
_END: Final = "<!-- written by make chaos: end -->"


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


def on_terminal(found: Sequence[Seen]) -> Table:
    table = Table(title="make chaos", title_justify="left")
    for name in COLUMNS:
        table.add_column(name)
    for seen in found:
        table.add_row(*cells(seen), style="" if seen.as_expected else "bold red")
    return table


def verdict(found: Sequence[Seen], seconds: float) -> str:
    """One sentence that counts; ``seconds`` is how long it took to play them all."""
    right = sum(seen.as_expected for seen in found)
    return (
        f"{right} of {len(found)} scenarios ended as expected; "
        f"{sum(seen.left for seen in found)} clusters left, "
        f"{sum(seen.duplicates for seen in found)} made twice, "
        f"{seconds / 60:.0f} minutes."
    )


def write(path: Path, found: Sequence[Seen], seconds: float, seed: int, sequences: int | None) -> None:
    """Replace what stands between the marks of the document by this table.

    ``sequences`` is how many random ones were played; None before they were.
    """
    kept = "Random sequences: not played yet." if sequences is None else ""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, SEED={seed}: {verdict(found, seconds)} "
        f"{kept or f'{sequences} random sequences kept every promise.'}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *map(_line, found),
    ]
    _replace(path, lambda _: lines)


def write_again(path: Path, found: Sequence[Seen]) -> None:
    """Replace the rows of these scenarios alone, and say below the table that they were played again."""
    again = {_start(seen): _line(seen) for seen in found}
    names = "; ".join(seen.scenario for seen in found)

    def rows(written: list[str]) -> list[str]:
        kept = [
            next((line for start, line in again.items() if row.startswith(start)), row) for row in written
        ]
        return [*kept, "", f"Played again by themselves on {datetime.now(UTC):%Y-%m-%d}: {names}."]

    _replace(path, rows)


def _line(seen: Seen) -> str:
    return f"| {' | '.join(cells(seen))} |"


def _start(seen: Seen) -> str:
    return f"| {seen.scenario} |"


def _replace(path: Path, by: Callable[[list[str]], list[str]]) -> None:
    """What stands between the marks of the document by what ``by`` makes of its lines."""
    text = path.read_text()
    marked = re.search(f"(?<={re.escape(_BEGIN)}\n).*?(?={re.escape(_END)})", text, re.DOTALL)
    if marked is None:
        raise ValueError(f"{path} has no place for the table: put {_BEGIN} and {_END} into it.")
    lines = by(marked[0].splitlines())
    path.write_text(text[: marked.start()] + "".join(f"{line}\n" for line in lines) + text[marked.end() :])
