"""JupyterLab as ``make notebook`` starts it, with the notebook executed on a run's result in its bucket.

The picture ends at the curve of the variance. Photos come below it, and no picture shows a photo.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import Page
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from evidence.played_run import BUCKET, REPOSITORY, Played
from local_run.airflow_server import free_port
from local_run.processes import Child, stop

NOTEBOOK: Final = REPOSITORY / "notebooks" / "explore.ipynb"
_LAST_CELL: Final = "variance"
_READY_SECONDS: Final = 120
_ADDRESS: Final = re.compile(r"(http://127\.0\.0\.1:\d+)/\S*(\?token=\w+)")


def taken(system: Played) -> bytes:
    """The window of JupyterLab, as a PNG."""
    cells = opened_on(f"s3://{BUCKET}", system.stack.paths.out / "notebooks" / NOTEBOOK.name)
    with _lab(system) as address:
        page = system.browser.new_page()
        page.goto(address)
        _execute(page, cells)
        picture = page.screenshot()
        page.close()
    return picture


def opened_on(result: str, copy: Path) -> int:
    """Write the copy, where ``make notebook`` looks for it, on that result; how many cells to execute."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    tags = [cell["metadata"].get("tags", []) for cell in notebook["cells"]]
    (named,) = (cell for cell in notebook["cells"] if "".join(cell["source"]).startswith("RESULT ="))
    named["source"] = [f'RESULT = "{result}"\n', 'PHOTOS = ""']
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(json.dumps(notebook), encoding="utf-8")
    return tags.index([_LAST_CELL]) + 1


def _execute(page: Page, cells: int) -> None:
    # Its question for news of Jupyter, which it asks whenever it likes.
    page.add_style_tag(content=".Toastify { display: none !important }")
    # Not before: what is executed while JupyterLab connects to its kernel is lost.
    idle = page.get_by_text("Python 3 (ipykernel) | Idle")
    idle.wait_for()
    page.locator(".jp-Notebook .jp-Cell").first.click()
    page.keyboard.press("Escape")
    for _ in range(cells):
        page.keyboard.press("Shift+Enter")
        idle.wait_for()
    curve = page.locator(".jp-RenderedImage img").first
    curve.wait_for()
    curve.evaluate("image => image.scrollIntoView({block: 'end'})")


@contextmanager
def _lab(system: Played) -> Iterator[str]:
    """The notebook's address while JupyterLab is up, with its token. The notebook finds local AWS."""
    paths, log = system.stack.paths, system.stack.paths.state / "logs" / "jupyterlab.log"
    python = REPOSITORY / ".venv" / "notebooks" / "bin" / "python"
    command = [str(python), "-m", "exploring", "lab", f"--port={free_port()}"]
    command += [f"--state-dir={paths.state}", f"--out-dir={paths.out}"]
    child = Child.start("JupyterLab", command, os.environ, log)

    def address() -> str | None:
        child.check()
        found = _ADDRESS.search(log.read_text(encoding="utf-8"))
        return f"{found[1]}/lab/tree/notebooks/{NOTEBOOK.name}{found[2]}" if found else None

    try:
        yield str(
            Retrying(
                retry=retry_if_result(lambda found: found is None),
                wait=wait_fixed(0.2),
                stop=stop_after_delay(_READY_SECONDS),
            )(address)
        )
    finally:
        stop([child])
