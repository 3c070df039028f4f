"""Cells of a CSV file that people open in a spreadsheet."""

from typing import Final

_FORMULA_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r")


def defused(cell: object) -> object:
    """Text that a spreadsheet would run as a formula, behind an apostrophe: OWASP, "CSV injection"."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_BEGINNINGS) else cell
