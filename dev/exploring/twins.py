"""A notebook and its twin: the text that is reviewed, and the file that Jupyter opens, without outputs."""

from pathlib import Path

import jupytext
import nbformat


def as_notebook(text: Path) -> str:
    """The ``.ipynb`` of a text in jupytext's percent format; the same text gives the same bytes."""
    notebook = jupytext.read(text)
    notebook.metadata.pop("jupytext", None)
    for number, cell in enumerate(notebook.cells, start=1):
        # Jupytext draws them by lot.
        cell.id = f"cell-{number}"
    nbformat.validate(notebook)
    return f"{nbformat.writes(notebook)}\n"


def write(folder: Path) -> list[Path]:
    """Write the notebook beside every text of the folder; what was written."""
    written = []
    for text in sorted(folder.glob("*.py")):
        notebook = text.with_suffix(".ipynb")
        notebook.write_text(as_notebook(text), encoding="utf-8")
        written.append(notebook)
    return written
