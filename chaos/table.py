"""The table of what was seen: on the terminal, and in docs/termination.md between two marks."""

import re
from collections.abc import Sequence
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
_BEGIN: Final = "<!-- written by make chaos: begin -->"
_END: Final = "<!-- written by make chaos: end -->"


def cells(seen: Seen) -> tuple[str, ...]:
    return (
        seen.scenario.name,
        "Spark" if seen.scenario.real_steps else "replayed",
        seen.scenario.expected,
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


def verdict(found: Sequence[Seen]) -> str:
    """One sentence that counts."""
    right = sum(seen.as_expected for seen in found)
    return (
        f"{right} of {len(found)} scenarios ended as expected; "
        f"{sum(seen.left for seen in found)} clusters left, "
        f"{sum(seen.duplicates for seen in found)} made twice, "
        f"{sum(seen.seconds for seen in found) / 60:.0f} minutes."
    )


def write(path: Path, found: Sequence[Seen], seed: int, sequences: int | None) -> None:
    """Replace what stands between the marks of the document by this table.

    ``sequences`` is how many random ones were played; None before they were.
    """
    kept = "Random sequences: not played yet." if sequences is None else ""
    lines = [
        _BEGIN,
        f"{datetime.now(UTC):%Y-%m-%d}, SEED={seed}: {verdict(found)} "
        f"{kept or f'{sequences} random sequences kept every promise.'}",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(cells(seen))} |" for seen in found),
        _END,
    ]
    text = path.read_text()
    marked = re.compile(f"{re.escape(_BEGIN)}.*{re.escape(_END)}", re.DOTALL)
    if not marked.search(text):
        raise ValueError(f"{path} has no place for the table: put {_BEGIN} and {_END} into it.")
    path.write_text(marked.sub(lambda _: "\n".join(lines), text))
