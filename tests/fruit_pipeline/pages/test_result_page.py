"""Promise: the page says what the report says, runs nothing that a label or a key holds, and stays small."""

import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_contract.overview import Overview, SampledPhoto
from fruit_contract.report_schema import Report
from fruit_pipeline.pages import sample_map
from fruit_pipeline.pages.rendering import content_security_policy
from fruit_pipeline.pages.result_page import Current, PageError, bill, headline, result_page
from tests.fruit_pipeline.results.test_reporting import built, task

LAYOUT = RunLayout("bucket", "nightly-7")
CURRENT = Current("nightly-7", "nightly-7", datetime(2026, 1, 1, 12, tzinfo=UTC).isoformat())
HOSTILE = (
    '"><script>alert(1)</script>',
    "</script><img src=x onerror=alert(1)>",
    "'; alert(1) //",
    "🍎 two\nlines",
    "{{ 7 * 7 }}",
    "\u2028\u2029",
)


def sampled(labels: list[str], photos: int) -> list[SampledPhoto]:
    return [
        SampledPhoto(
            key=f"Test/{label}/{number}_100.jpg",
            label=label,
            components=[float(number * (place + 1)) for place in range(6)],
        )
        for label in sorted(labels)
        for number in range(photos)
    ]


def overview(labels: list[str], photos: int = 6, rejected: list[tuple[str, str]] | None = None) -> Overview:
    return Overview(
        labels={label: {"processed": photos, "rejected": 0} for label in labels},
        label_count=len(labels),
        sample=sampled(labels, photos),
        reasons={reason: 1 for _, reason in rejected or []},
        rejected=[{"key": key, "reason": reason} for key, reason in rejected or []],
    )


def report(**changes: Any) -> Report:
    whole: Report = built([task("plan", "success")])
    done: dict[str, Any] = {
        **whole,
        "components": 3,
        "explained_variance": 0.96,
        "explained_variance_ratio": [0.7, 0.2, 0.06],
        "ended_at": whole["started_at"],
    }
    return done | changes  # type: ignore[return-value]


class Elements(HTMLParser):
    """What a browser would make of the page: its elements, its text, and what its scripts hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.scripts = "", list[str]()
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data


def test_the_page_says_it_all_in_its_first_line() -> None:
    words = headline(report(), LAYOUT, CURRENT)
    assert words[1:4] == ["0 rejected", "3 components keep 96.0%", "0 seconds"]
    assert words[4:] == [
        "cluster j-1 TERMINATED at 2026-01-01 00:15 UTC",
        "result current since 2026-01-01 12:00 UTC",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (0.95, "3 components keep 96.0% (0.95 asked)"),
        (3, "3 components keep 96.0%"),
        ("3", "3 components keep 96.0%"),
    ],
)
def test_a_share_that_was_asked_for_stands_beside_what_is_kept(given: object, said: str) -> None:
    assert said in headline(report(parameters={"components": given}), LAYOUT, CURRENT)


def test_the_page_has_the_figures_that_people_ask_for() -> None:
    page = Elements(result_page(report(), overview(["Apple", "Kiwi"]), LAYOUT, CURRENT, served=True))
    for heading in (
        "Variance",
        "Map",
        "Labels",
        "Rejected photos",
        "Time",
        "Cost",
        "How it was made",
        "Read it",
    ):
        assert heading in page.text
    assert "more than 3" in page.text, "no 3 components keep 99 %"
    photos = [attrs["src"] for tag, attrs in page.tags if tag == "img" and attrs.get("src")]
    assert "image?run_id=r&key=Test/Apple/0_100.jpg" in photos
    assert all(attrs.get("alt") is not None for tag, attrs in page.tags if tag == "img")


def test_the_lines_that_read_it_add_no_column_of_its_folder() -> None:
    page = Elements(result_page(report(), None, LAYOUT, CURRENT, served=False))
    output = LAYOUT.uri(LAYOUT.pca_output)
    assert "/run=" in output
    assert f"read_parquet('{output}*.parquet', hive_partitioning = false)" in page.text


def test_a_photo_can_be_asked_for_by_its_key() -> None:
    page = Elements(result_page(report(), None, LAYOUT, CURRENT, served=True))
    assert [attrs["action"] for tag, attrs in page.tags if tag == "form"] == ["photo"]
    assert [(a["name"], a.get("value")) for t, a in page.tags if t == "input"] == [
        ("run_id", "r"),
        ("key", None),
    ]


def test_a_page_as_a_file_asks_nobody_for_anything() -> None:
    page = Elements(result_page(report(), overview(["Apple"]), LAYOUT, CURRENT, served=False))
    assert [tag for tag, attrs in page.tags if attrs.get("src") or attrs.get("href")] == []


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("served", [True, False])
def test_foreign_text_is_shown_and_never_run(text: str, served: bool) -> None:
    seen = overview([text], rejected=[(f"Test/{text}/x.jpg", text)])
    odd = report(failure=text, changes=text, left_out={text: 1}, run_id=text, state="failed")
    odd["parameters"] = {"input_prefix": text}
    page = Elements(result_page(odd, seen, LAYOUT, Current(text, "k", CURRENT.since), served=served))
    plain = Elements(result_page(report(), overview(["Apple"]), LAYOUT, CURRENT, served=served))
    assert [tag for tag, _ in page.tags].count("script") == [tag for tag, _ in plain.tags].count("script")
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert text in page.text
    (data,) = [json.loads(script) for script in page.scripts if script.startswith('{"counts"')]
    assert data["labels"] == [text]


def test_a_red_run_says_why_and_what_is_still_current() -> None:
    red = report(state="failed", failure="The run failed in verify: Set components to 30.")
    page = Elements(result_page(red, None, LAYOUT, Current("older", "older", CURRENT.since), served=True))
    assert "Set components to 30." in page.text
    assert "The result of older" in page.text
    assert "Read it" not in page.text


def test_a_report_of_another_version_is_one_sentence() -> None:
    old = {name: value for name, value in report().items() if name != "parameters"}
    with pytest.raises(
        PageError, match=r"another version.*s3://bucket/Results/reports/run=nightly-7/report.json"
    ):
        result_page(old, None, LAYOUT, None, served=True)  # type: ignore[arg-type]


def test_the_page_of_a_full_sample_is_small() -> None:
    seen = overview([f"Variety of fruit {number}" for number in range(131)], photos=38)
    page = result_page(report(), seen, LAYOUT, CURRENT, served=False)
    assert len(page.encode()) < 200_000


def test_the_policy_allows_the_pages_own_style_and_script_alone() -> None:
    policy = content_security_policy()
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; img-src 'self';")


def test_the_bill_is_told_by_service_before_and_after() -> None:
    lines: list[Any] = [
        {"group": "EC2 Spot", "service": "three nodes", "amount": 1.0},
        {"group": "EMR", "service": "fee", "amount": 0.25},
        {"group": "EC2 Spot", "service": "two nodes", "amount": 0.5},
    ]
    groups: list[Any] = [
        {"group": "EC2 Spot", "estimate": 9.0, "expected": 1.25, "actual": 1.5},
        {"group": "EBS", "estimate": 0.5, "expected": 0.125, "actual": None},
    ]
    cost: Any = {**report()["cost"], "lines": lines, "groups": groups, "actual": 1.75}
    assert [(each.service, each.expected, each.worst, each.actual, each.lines) for each in bill(cost)] == [
        ("EC2 Spot", 1.25, 9.0, 1.5, ["three nodes", "two nodes"]),
        ("EBS", 0.125, 0.5, None, []),
    ]
    page = Elements(result_page(report(cost=cost), None, LAYOUT, CURRENT, served=True))
    assert "EC2 Spot1.2509.0001.500three nodes; two nodes" in page.text
    older = {name: value for name, value in cost.items() if name != "groups"}
    assert [(each.service, each.expected, each.actual) for each in bill(older)] == [  # type: ignore[arg-type]
        ("EC2 Spot", None, 1.5),
        ("EMR", None, 0.25),
    ]


def test_the_map_has_every_photo_in_its_place() -> None:
    data = sample_map.map_data(sampled(["Apple", "Kiwi"], 3))
    assert (data["labels"], data["counts"], data["dimensions"]) == (["Apple", "Kiwi"], [3, 3], 6)
    keys = [data["prefixes"][place // 3] + key for place, key in enumerate(data["keys"])]
    assert keys == [photo["key"] for photo in sampled(["Apple", "Kiwi"], 3)]
    assert len(data["points"]) == 6 * 6 * 2
    assert data["points"][:2] == "00"
    assert data["points"][24:26] == "__"


def test_labels_that_lie_together_are_named_first() -> None:
    photos = sampled(["Apple", "Pear"], 6)
    far = [
        SampledPhoto(key=f"Test/Z/{number}.jpg", label="Z", components=[1000.0 + number] * 6)
        for number in range(6)
    ]
    pairs = sample_map.overlaps([*photos, *far])
    assert pairs[0] == {"labels": ("Apple", "Pear"), "distance": 0.0}
    assert pairs[1]["distance"] > 10
