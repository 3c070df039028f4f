"""Promise: at the width of a tab or a window no page scrolls sideways, and no heading's word is broken."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from evidence.played_run import chromium
from fruit_pipeline.pages.result_page import result_page
from fruit_pipeline.pages.runs_pages import comparison_page, runs_page
from fruit_pipeline.results import run_index
from tests.fruit_pipeline.pages.test_judgement import trained
from tests.fruit_pipeline.pages.test_result_page import CURRENT, LAYOUT, overview, report

LONG = "L" * 200
"""A word as long as a folder's name may be, in place of a label."""
LABELS = [*(f"Label number {number}" for number in range(27)), LONG]
# Words of headings, and of cells that scroll, that take several lines. What is hidden has no room at all.
BROKEN = """() => [...document.querySelectorAll("thead th, .scrolls td")].flatMap((heading) => {
  const walk = document.createTreeWalker(heading, NodeFilter.SHOW_TEXT), broken = [];
  for (let node = walk.nextNode(); node; node = walk.nextNode()) {
    if (node.parentElement.closest(".hidden, a")) continue;
    for (const word of node.data.matchAll(/[^\\s-]+/g)) {
      const range = document.createRange();
      range.setStart(node, word.index); range.setEnd(node, word.index + word[0].length);
      if (range.getClientRects().length > 1) broken.push(word[0]);
    }
  }
  return broken;
})"""


# Numbers that stay on one line, beside a text that needs the room.
_COUNTED = "EC2 m6g.xlarge, 3 nodes, 0.11 h, Spot, at most the on-demand price 0.1720 USD/h"
COST: Any = {
    **report()["cost"],
    "lines": [{"group": "EC2 Spot", "service": _COUNTED, "amount": 0.016}],
    "groups": [{"group": "EC2 Spot", "estimate": 1.945, "expected": 0.067, "actual": 0.016}],
    "actual": 0.016,
    "expected": 0.067,
    "estimate": 1.945,
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """With one word wherever a person's own words may stand."""
    one = {"label": LONG, "photos": 9, "right": 0.5, "f1": 0.4}
    drift = {
        "photos": 40,
        "above_residual": 0.2,
        "labels": {},
        "components": [],
        "warnings": [f"Not {LONG}."],
    }
    found = trained(
        not_tested=[LONG],
        worst_labels=[one],
        confusions=[{"label": LONG, "predicted": LONG, "photos": 7}],
        drift=drift,
    )
    odd = {
        "run_id": LONG,
        "failure": LONG,
        "changes": LONG,
        "left_out": {LONG: 1},
        "state": "failed",
        "cost": COST,
    }
    run, seen = report(classifier=found, **odd), overview(LABELS, rejected=[(f"Test/{LONG}/x.jpg", LONG)])
    return {
        "result": result_page(run, seen, LAYOUT, CURRENT, served=True),
        "a file": result_page(report(classifier=found), seen, LAYOUT, CURRENT, served=False),
        "runs": runs_page([run_index.summary(each, "k") for each in (run, report(classifier=found))], []),
        "comparison": comparison_page(run, report(classifier=found)),
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not shutil.which("chromium"):
        pytest.skip("Chromium is not installed: run `make browser`")
    with sync_playwright() as playwright, chromium(playwright) as started:
        yield started


@pytest.mark.parametrize("width", [700, 1400])
@pytest.mark.parametrize("name", ["result", "a file", "runs", "comparison"])
def test_a_page_fits_its_window(
    pages: dict[str, str], browser: Browser, tmp_path: Path, name: str, width: int
) -> None:
    file = tmp_path / "page.html"
    file.write_text(pages[name])
    with browser.new_page(viewport={"width": width, "height": 900}) as page:
        page.goto(file.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate(BROKEN) == []
        # A legend of so many labels is whole; only that of many more scrolls.
        cut = (
            "[...document.querySelectorAll('.legend')].some((each) => each.scrollHeight > each.clientHeight)"
        )
        assert not page.evaluate(cut)
