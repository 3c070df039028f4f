"""``make tour``: what a person sees of runs in Airflow's UI, as the pictures of docs/tour.md.

It plays two runs over a folder of photos, or over generated ones, and takes pictures of their pages. No
picture shows a photo: whose photos they are does not matter.
"""

import argparse
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import FrameLocator, Page

from evidence import marked_text
from evidence.played_run import REPOSITORY, Played, first_paint_ms, played
from fruit_contract.layout import DAG_ID

PAGE: Final = REPOSITORY / "docs" / "tour.md"
PICTURES: Final = REPOSITORY / "docs" / "tour"
MOST_BYTES: Final = 150_000
_PHOTOS: Final = 600
_FIRST: Final = "first_look"
_SECOND: Final = "fewer_components"


def main() -> None:
    parser = argparse.ArgumentParser(prog="tour", description=__doc__)
    parser.add_argument("--images", type=Path, default=None, help="a folder with one sub-folder per label")
    asked = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    with played(asked.images, _PHOTOS, width=1400, height=900) as system:
        _form(system)
        first = system.run(_FIRST, {})
        second = system.run(_SECOND, {"components": 192, "minimum_variance": 0.8})
        report, paint_ms = _result(system, first)
        _runs(system, second)
    marked_text.write(PAGE, _lines(report, paint_ms))
    system.console.print(f"Written: {PAGE.relative_to(REPOSITORY)} and its pictures")


def _form(system: Played) -> None:
    page = system.browser.new_page()
    page.goto(f"{system.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=element_bucket]").wait_for()
    page.wait_for_timeout(500)
    _save(dialog.screenshot(), "form")
    page.close()


def _result(system: Played, run: str) -> tuple[dict[str, Any], float]:
    """Pictures of the tab of a run, part by part; the report that it offers, and the tab's first paint."""
    page = system.browser.new_page()
    page.goto(f"{run}/plugin/result")
    inside = page.frame_locator("iframe")
    inside.locator("#variance").hover()
    paint_ms = first_paint_ms(page.frames[-1])
    _save(page.screenshot(), "result")
    for part in ("map", "time", "cost"):
        _save(_section(inside, part).screenshot(), part)
    with page.expect_download() as downloaded:
        inside.get_by_role("link", name="report.json").click()
    report: dict[str, Any] = json.loads(Path(downloaded.value.path()).read_text())
    page.close()
    return report, paint_ms


def _section(inside: FrameLocator, part: str) -> Any:
    section = inside.locator(f"section[aria-labelledby={part}-title]")
    section.scroll_into_view_if_needed()
    return section


def _runs(system: Played, run: str) -> None:
    page: Page = system.browser.new_page()
    page.goto(f"{run.partition('/runs/')[0]}/plugin/fruit-runs")
    page.frame_locator("iframe").get_by_role("heading", name="Runs").wait_for()
    page.frame_locator("iframe").locator("table").wait_for()
    _save(page.screenshot(), "runs")
    page.close()


def _save(picture: bytes, name: str) -> None:
    """As a PNG of few colours; ``SystemExit`` where it is larger than a page of documentation should load."""
    file = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(file, "PNG", optimize=True)
    if len(file.getvalue()) > MOST_BYTES:
        raise SystemExit(f"error: {name}.png has {len(file.getvalue()):,} bytes, at most {MOST_BYTES:,}.")
    (PICTURES / f"{name}.png").write_bytes(file.getvalue())


def _lines(report: dict[str, Any], paint_ms: float) -> Iterator[str]:
    images, cost, sizing = report["images"], report["cost"], report["sizing"]
    yield f"- {images['found']:,} photos, {images['rejected']:,} rejected."
    yield f"- {report['components']} components keep {report['explained_variance']:.1%} of the variance."
    yield f"- {report['images_per_second']:.0f} photos a second on this machine's cores."
    yield f"- On EMR {sizing['expected_minutes']:.0f} minutes are expected, by the model of cost."
    yield f"- {cost['expected']:.2f} EUR are expected there, {cost['estimate']:.2f} at worst: a model, too."
    yield f"- The tab's first paint came {paint_ms:.0f} ms after its request."


if __name__ == "__main__":
    main()
