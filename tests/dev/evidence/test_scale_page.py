"""Promise: docs/evidence/scale.md is the estimate of a run as the code makes it now."""

from pathlib import Path

import pytest

from evidence import marked_text, scale_page


def test_the_page_is_current() -> None:
    assert marked_text.read(scale_page.PAGE) == list(scale_page.lines()), "run `make scale`"


def test_what_people_write_around_the_marks_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{marked_text.BEGIN}old\n{marked_text.END}after\n")
    marked_text.write(page, marked_text.table(("a", "b"), [("1", "2")]))
    assert marked_text.read(page) == ["| a | b |", "|---|---|", "| 1 | 2 |"]
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")


def test_a_page_without_the_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("no marks\n")
    with pytest.raises(ValueError, match="has no place for the text"):
        marked_text.write(page, [])
