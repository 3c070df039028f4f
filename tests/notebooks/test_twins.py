"""What is reviewed as text is what Jupyter opens: the same cells, and no outputs."""

from pathlib import Path

import nbformat
import pytest

from exploring import twins
from tests.conftest import REPOSITORY

TEXTS = sorted((REPOSITORY / "notebooks").glob("*.py"))


def test_every_notebook_has_a_text() -> None:
    notebooks = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
    assert TEXTS
    assert [text.with_suffix(".ipynb") for text in TEXTS] == notebooks


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.stem)
def test_the_notebook_is_its_text_without_outputs(text: Path) -> None:
    stored = text.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert stored == twins.as_notebook(text), "run `make notebook-write`"
    for cell in nbformat.reads(stored, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_another_text_is_another_notebook(tmp_path: Path) -> None:
    text = tmp_path / "one.py"
    text.write_text("# %% [markdown]\n# A sentence.\n\n# %%\n1 + 1\n")
    [written] = twins.write(tmp_path)
    cells = nbformat.read(written, as_version=4).cells
    assert [(cell.cell_type, cell.source) for cell in cells] == [
        ("markdown", "A sentence."),
        ("code", "1 + 1"),
    ]
    before = written.read_bytes()
    twins.write(tmp_path)
    assert written.read_bytes() == before
    text.write_text(text.read_text().replace("1 + 1", "1 + 2"))
    assert twins.as_notebook(text).encode() != before
