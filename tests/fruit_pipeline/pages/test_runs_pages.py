"""Promise: all runs stand in one table, the newest first, and two of them side by side."""

from typing import Any

import pytest

from fruit_contract.run_summary import RunSummary
from fruit_pipeline.pages.runs_pages import comparison_page, runs_page
from tests.fruit_pipeline.pages.test_result_page import HOSTILE, Elements, report


def line(run_id: str, **changes: Any) -> RunSummary:
    usual = RunSummary(
        run_id=run_id,
        run_key=run_id,
        state="success",
        started_at="2026-01-01T03:00:00+00:00",
        minutes=20.5,
        photos=87_000,
        new=1_000,
        rejected=3,
        components=256,
        explained_variance=0.947,
        eur=0.19,
        top1=None,
        split=None,
        drift=None,
        nothing_new=False,
        failure=None,
    )
    return usual | changes  # type: ignore[return-value]


def test_every_run_has_a_row_and_a_bar_in_each_chart() -> None:
    runs = [line("c"), line("b", state="failed", eur=None, explained_variance=None), line("a")]
    page = Elements(runs_page(runs, [("d", "running")]))
    assert [attrs["value"] for tag, attrs in page.tags if tag == "input"] == ["c", "b", "a"]
    assert [tag for tag, _ in page.tags].count("rect") == 3 * 5
    assert "result?run_id=d" in [attrs.get("href") for tag, attrs in page.tags if tag == "a"]
    assert "256: 94.7%" in page.text
    assert "b: none, failed" in page.text


def test_without_a_run_the_page_says_what_to_do() -> None:
    assert "No run has left a report yet" in Elements(runs_page([], [])).text


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_is_never_run(text: str) -> None:
    pages = [
        runs_page([line(text, failure=text)], [(text, "running")]),
        comparison_page(report(run_id=text), report(parameters={text: text})),
    ]
    for page in map(Elements, pages):
        assert [tag for tag, _ in page.tags].count("script") == 1
        assert text in page.text


def test_what_differs_between_two_runs_stands_out() -> None:
    one, other = report(), report(run_id="other", components=5)
    other["parameters"] = {**one["parameters"], "image_size": 96}
    page = Elements(comparison_page(one, other))
    assert page.text.count("image_size") == 1
    assert "solver" not in page.text, "what is alike is only counted"
    differing = [attrs.get("class") for tag, attrs in page.tags if tag == "tr"].count("differs")
    assert differing == 2, "components and image_size"
