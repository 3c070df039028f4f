"""Promise: the table of make chaos is written by the run; rows played again replace their own and say so."""

from pathlib import Path

import pytest

from chaos import table
from chaos.driver import Seen
from chaos.scenarios import scenarios
from evidence.marked_text import BEGIN, END

MARKS = f"before\n{BEGIN}old\n{END}after\n"


def seen(name: str, end: str) -> Seen:
    return Seen(name, 2, "success", False, end, 1, 0, 0, 0.0, True, 10.0)


def test_every_scenario_has_a_row_that_says_which_steps_spark_runs() -> None:
    words = {
        each.replayed: table.cells(
            Seen(each.name, len(each.replayed), each.expected, False, each.expected, 1, 0, 0, 0.0, True, 1.0)
        )[1]
        for each in scenarios()
    }
    assert words == {
        (): "Spark",
        ("featurize",): "PCA",
        ("featurize", "reduce"): "train",
        ("featurize", "reduce", "train"): "replayed",
    }


def test_a_row_that_is_played_again_replaces_its_own_and_is_named(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(MARKS)
    table.write(document, [seen("S3 is slow", "success"), seen("S3 is slow and far", "failed")], 600.0, 1, 60)
    first = document.read_text()
    assert first.startswith("before\n")
    assert first.endswith(f"{END}after\n")
    assert "1 of 2 scenarios ended as expected" in first
    assert "10 minutes." in first
    assert "old" not in first.splitlines()

    table.write_again(document, [seen("S3 is slow and far", "success")])

    again = document.read_text().splitlines()
    assert [row.split(" | ")[3] for row in again if row.startswith("| S3")] == ["success", "success"]
    assert any(
        line.startswith("Played again by themselves") and "S3 is slow and far" in line for line in again
    )


def test_a_document_without_the_marks_is_refused(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("no marks\n")
    with pytest.raises(ValueError, match="has no place for the text"):
        table.write(document, [seen("S3 is slow", "success")], 600.0, 1, None)
