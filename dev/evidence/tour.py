"""``make tour``: docs/tour.md, what people see of runs, and docs/evidence/talk.md, the first one's figures.

It plays two runs over a folder of photos, or over generated ones, and takes pictures of their pages. No
picture shows a photo: whose photos they are does not matter.
"""

import argparse
import json
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import FrameLocator, Page

from evidence import dag_picture, marked_text, notebook_picture, talk_page, talk_record
from evidence.pictures import save
from evidence.played_run import BUCKET, REPOSITORY, Played, first_paint_ms, played
from fruit_contract.layout import DAG_ID, INPUT_PREFIX
from fruit_contract.report_schema import Report
from local_aws import console

_PHOTOS: Final = 600
_FIRST: Final = "first_look"
_SECOND: Final = "fewer_components"
_SECTIONS: Final = {
    "variance": "variance",
    "map": "map",
    "classifier": "classifier",
    "time": "time",
    "cost": "cost",
    "made": "cluster",
}
"""Pictures by the parts of the tab Result."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="tour", description=__doc__)
    parser.add_argument("--images", type=Path, default=None, help="a folder with one sub-folder per label")
    asked = parser.parse_args()
    with played(asked.images, _PHOTOS, width=1400, height=900) as system:
        _form(system)
        first = system.run(_FIRST, {})
        report, paints_ms = _result(system, first)
        # Before the second run: the bucket and the list of clusters are as the first has left them.
        s3, emr = system.stack.client("s3"), system.stack.client("emr")
        record = talk_record.gathered(s3, emr, report, paints_ms)
        _sections(system)
        _tried(system, first)
        _bucket(system)
        save(notebook_picture.taken(system), "notebook")
        _runs(system, system.run(_SECOND, {"components": 192, "minimum_variance": 0.8}))
        # The last: from then on Airflow opens every run with its graph.
        _graph(system, first)
    talk_record.written(record)
    marked_text.write(talk_page.TOUR, talk_page.tour_lines(record))
    marked_text.write(talk_page.PAGE, talk_page.lines(record))
    pages = " and ".join(str(page.relative_to(REPOSITORY)) for page in (talk_page.TOUR, talk_page.PAGE))
    system.console.print(f"Written: {pages}, their record and their pictures")


def _form(system: Played) -> None:
    page = system.browser.new_page()
    page.goto(f"{system.url}/dags/{DAG_ID}")
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("[name=element_bucket]").wait_for()
    page.wait_for_timeout(500)
    save(dialog.screenshot(), "form")
    page.close()


def _result(system: Played, run: str) -> tuple[Report, tuple[float, float]]:
    """A picture of the tab of a run; the report that it offers, and its first paint in ms, twice.

    First somebody who looks at the run clicks on the tab: the first page that the server ever draws. Then
    Airflow's own page is loaded with it, whose scripts share the browser's thread.
    """
    page = system.browser.new_page()
    page.goto(run, wait_until="networkidle")
    page.get_by_role("link", name="Result", exact=True).click()
    inside = page.frame_locator("iframe")
    inside.locator("#variance").hover()
    clicked_ms = first_paint_ms(page.frames[-1])
    save(page.screenshot(), "result")
    with page.expect_download() as downloaded:
        inside.get_by_role("link", name="report.json").click()
    report: Report = json.loads(Path(downloaded.value.path()).read_text())
    page.reload()
    inside.locator("#variance").hover()
    paints_ms = clicked_ms, first_paint_ms(page.frames[-1])
    page.close()
    return report, paints_ms


def _sections(system: Played) -> None:
    """Parts of the tab, of its page without Airflow around it: some are taller than the tab."""
    page = system.browser.new_page()
    page.goto(f"{system.url}/fruits/result?run_id={_FIRST}")
    for part, name in _SECTIONS.items():
        section = page.locator(f"section[aria-labelledby={part}-title]")
        section.scroll_into_view_if_needed()
        save(section.screenshot(), name)
    page.close()


def _tab(system: Played, run: str) -> tuple[Page, FrameLocator]:
    page = system.browser.new_page()
    page.goto(f"{run}/plugin/result")
    return page, page.frame_locator("iframe")


def _graph(system: Played, run: str) -> None:
    page = system.browser.new_page()
    page.set_viewport_size({"width": 2000, "height": 520})
    save(dag_picture.taken(page, run), "graph")
    page.close()


def _tried(system: Played, run: str) -> None:
    """A photo of the bucket, tried on the tab of the run. Photos are covered in the picture."""
    s3 = system.stack.client("s3")
    key = s3.list_objects_v2(Bucket=BUCKET, Prefix=INPUT_PREFIX, MaxKeys=1)["Contents"][0]["Key"]
    content: Any = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    page, inside = _tab(system, run)
    photo: Any = {"name": Path(key).name, "mimeType": "image/jpeg", "buffer": content}
    inside.get_by_label("Try a photo").set_input_files(photo)
    inside.get_by_role("button", name="What is it?").click()
    inside.get_by_role("heading", name="Photos that look most like it").wait_for()
    save(page.screenshot(mask=[inside.locator("img")], mask_color="#dddddd"), "try")
    page.close()


def _bucket(system: Played) -> None:
    page = system.browser.new_page()
    page.goto(f"{system.stack.aws['AWS_ENDPOINT_URL_EMR']}{console.PREFIX}{BUCKET}")
    save(page.locator("pre").screenshot(), "bucket")
    page.close()


def _runs(system: Played, run: str) -> None:
    page = system.browser.new_page()
    page.goto(f"{run.partition('/runs/')[0]}/plugin/fruit-runs")
    page.frame_locator("iframe").get_by_role("heading", name="Runs").wait_for()
    page.frame_locator("iframe").locator("table").wait_for()
    save(page.screenshot(), "runs")
    page.close()


if __name__ == "__main__":
    main()
