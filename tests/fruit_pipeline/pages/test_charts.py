"""Promise: a chart shows what the numbers say, and is well-formed SVG whatever names are in it."""

from xml.etree import ElementTree

import pytest

from fruit_pipeline.pages import charts


def test_the_fewest_components_for_each_share_are_counted() -> None:
    assert charts.components_for_shares([0.5, 0.3, 0.15, 0.01]) == [
        (0.80, 2),
        (0.90, 3),
        (0.95, 3),
        (0.99, None),
    ]


def test_the_variance_rises_to_what_all_components_keep() -> None:
    svg = ElementTree.fromstring(charts.variance([0.5, 0.3, 0.1], 0.85))
    (line,) = svg.findall("polyline")
    heights = [float(point.split(",")[1]) for point in str(line.get("points")).split()]
    assert heights == sorted(heights, reverse=True)
    assert svg.get("aria-label") == "3 components keep 90.0% of the variance"
    assert svg.find("path[@class='limit']") is not None


def test_a_chart_of_nothing_is_a_chart() -> None:
    ElementTree.fromstring(charts.variance([], None))
    ElementTree.fromstring(charts.lanes([]))


def test_tasks_and_steps_follow_one_another_and_foreign_names_are_escaped() -> None:
    rows = charts.lanes_of(
        [
            {"name": "a <b> & 'c'", "started_after": 5.0, "waited": 0.0, "seconds": 10.0, "state": "success"},
            {"name": "never", "started_after": None, "waited": None, "seconds": None, "state": "skipped"},
        ],
        [
            {
                "name": "featurize",
                "state": "COMPLETED",
                "started_after": 6.0,
                "queued": 0.0,
                "seconds": 8.0,
                "noticed_after": 1.0,
                "startup": 3.0,
            }
        ],
    )
    assert [lane.name for lane in rows] == ["a <b> & 'c'", "step featurize"]
    svg = ElementTree.fromstring(charts.lanes(rows))
    assert [text.text for text in svg.findall("text")][:2] == ["a <b> & 'c'", "step featurize"]
    bars = [(bar.get("class"), float(str(bar.get("width")))) for bar in svg.findall("rect")]
    assert [name for name, _ in bars] == ["lane success", "lane startup", "lane step"]
    assert bars[1][1] / bars[2][1] == pytest.approx(3 / 5, rel=0.01)


@pytest.mark.parametrize(
    ("seconds", "marks"),
    [
        (0.5, ["0 s", "0.25 s", "0.48 s"]),
        (7.0, ["0 s", "3.5 s", "6.72 s"]),
        (119.0, ["0 s", "59.5 s", "114 s"]),
        (120.0, ["0.0 min", "1.0 min", "1.9 min"]),
        (7200.0, ["0.0 min", "60.0 min", "115.2 min"]),
    ],
)
def test_the_time_axis_has_marks_that_differ(seconds: float, marks: list[str]) -> None:
    svg = ElementTree.fromstring(charts.lanes([charts.Lane("plan", 0.0, seconds, "failed")]))
    assert [text.text for text in svg.findall("text")][1:] == marks
    assert str(svg.get("aria-label")).endswith(marks[0][-3:].strip("0 "))
