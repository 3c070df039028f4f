"""``make dag-picture``: a green run of fruit_features in Airflow's own UI, as docs/dag.png.

It plays a small run on this machine, opens it in Chromium, and takes a picture of the graph. It writes the
shape of the DAG beside it, which a test compares with the DAG as it is.
"""

import json
from typing import Any, Final

from playwright.sync_api import FloatRect, Page

from evidence.played_run import REPOSITORY, played
from fruit_contract.layout import DAG_ID

PICTURE: Final = REPOSITORY / "docs" / "dag.png"
SHAPE: Final = REPOSITORY / "docs" / "dag.json"
_RUN: Final = {"components": 16, "minimum_variance": 0.3, "image_size": 96}
_PHOTOS: Final = 60
_RUN_ID: Final = "a_green_run"
_MARGIN: Final = 12


def shape(dag: Any) -> dict[str, Any]:
    """The groups with their tasks, and the edges of a DAG: what its picture shows."""
    groups: dict[str, list[str]] = {}
    for task in dag.topological_sort():
        groups.setdefault(task.task_group.group_id, []).append(task.task_id)
    edges = sorted([task.task_id, after] for task in dag.tasks for after in task.downstream_task_ids)
    return {"groups": {name: sorted(tasks) for name, tasks in groups.items()}, "edges": edges}


def taken(page: Page, url: str) -> bytes:
    """The graph of a run, its groups open, without the panel beside it, as a PNG."""
    page.goto(url)
    page.get_by_role("button", name="Show Graph").click()
    page.get_by_test_id("expand-all-button").click()
    page.get_by_role("button", name="Collapse Details Panel").click()
    page.locator(".react-flow").get_by_text("report", exact=True).wait_for()
    page.get_by_role("button", name="Fit View").click()
    page.add_style_tag(content=".react-flow__panel, .react-flow__background { display: none !important }")
    # The graph moves into its place: it is there when two pictures of it are the same.
    before = b""
    while (now := page.screenshot(clip=_around_the_nodes(page))) != before:
        before = now
        page.wait_for_timeout(500)
    return now


def _around_the_nodes(page: Page) -> FloatRect:
    boxes = [box for node in page.locator(".react-flow__node").all() if (box := node.bounding_box())]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    return FloatRect(
        x=left - _MARGIN,
        y=top - _MARGIN,
        width=right - left + 2 * _MARGIN,
        height=bottom - top + 2 * _MARGIN,
    )


def main() -> None:
    from airflow.dag_processing.dagbag import DagBag

    with played(None, _PHOTOS, width=2000, height=520) as system:
        PICTURE.write_bytes(taken(system.browser.new_page(), system.run(_RUN_ID, _RUN)))
        dag = DagBag(dag_folder=REPOSITORY / "dags").dags[DAG_ID]
    SHAPE.write_text(json.dumps(shape(dag), indent=1) + "\n", encoding="utf-8")
    system.console.print(f"Written: {PICTURE.relative_to(REPOSITORY)} and {SHAPE.relative_to(REPOSITORY)}")


if __name__ == "__main__":
    main()
