"""The text between two marks of a page: a command writes it, people write what stands around it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

EVIDENCE: Final = Path(__file__).resolve().parents[2] / "docs" / "evidence"
BEGIN: Final = "<!-- written by a command: begin -->\n"
END: Final = "<!-- written by a command: end -->\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def read(page: Path) -> list[str]:
    """The lines between the marks; ``ValueError`` when the page has no marks."""
    return _parts(page)[1].splitlines()


def write(page: Path, lines: Iterable[str]) -> None:
    """Replace the lines between the marks; ``ValueError`` when the page has no marks."""
    before, _, after = _parts(page)
    page.write_text("".join((before, *(f"{line}\n" for line in lines), after)), encoding="utf-8")


def _parts(page: Path) -> tuple[str, str, str]:
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    between, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"{page} has no place for the text: put the lines {BEGIN!r} and {END!r} into it.")
    return before + begin, between, end + after
