"""Promise: what a classifier is found to do is told by its split, and no figure by hash without a warning."""

from typing import Any
from xml.etree import ElementTree

import pytest

from fruit_contract.classifier import Judgement, TrainMetrics
from fruit_pipeline.pages import charts, judgement
from fruit_pipeline.pages.result_page import headline, result_page
from fruit_pipeline.pages.runs_pages import comparison_page, runs_page
from fruit_pipeline.results import run_index
from tests.fruit_pipeline.pages.test_result_page import CURRENT, HOSTILE, LAYOUT, Elements, report


def judged(split: str, top1: float) -> Judgement:
    return Judgement(
        split=split,
        train_photos=7_000,
        test_photos=1_234,
        test_labels=31,
        top1=top1,
        interval=(top1 - 0.02, top1 + 0.02),
        top5=0.975,
        macro_f1=0.875,
        coarse=None,
        majority=0.1,
        nearest_mean=0.8,
        pca_cost=0.5,
        temperature=1.5,
        ece_before=0.125,
        ece_after=0.025,
        leak=0.12,
    )


def trained(**changes: Any) -> TrainMetrics:
    usual = TrainMetrics(
        skipped=None,
        kind="linear",
        labels=33,
        photos=8_234,
        judged=judged("session", 0.912),
        by_hash=judged("hash", 0.975),
        not_tested=["Fig", "Lime"],
        not_tested_count=3,
        coverage=[
            {"probability": 0.0, "answered": 1.0, "right": 0.912},
            {"probability": 0.9, "answered": 0.5, "right": 0.99},
            {"probability": 1.0, "answered": 0.0, "right": None},
        ],
        reliability=[
            {"confidence": 0.95, "right": 0.9, "photos": 1_000},
            {"confidence": 0.55, "right": 0.6, "photos": 234},
        ],
        worst_labels=[{"label": f"Label {n}", "photos": 9, "right": 0.5, "f1": 0.4} for n in range(12)],
        confusions=[{"label": "Pear", "predicted": "Apple", "photos": 7}],
        thresholds={"residual": 1.0, "probability": 0.4},
        gate={"passed": False, "reason": "The nearest mean is better.", "current_top1": 0.95},
        drift={
            "photos": 40,
            "above_residual": 0.25,
            "labels": {},
            "components": [],
            "warnings": ["A quarter of the new photos look like none before."],
        },
        pca=None,
        bytes=2_000_000,
        seconds=42.0,
        versions={},
    )
    return usual | changes  # type: ignore[return-value]


@pytest.mark.parametrize("served", [True, False])
def test_the_page_has_every_figure_with_the_split_that_it_is_by(served: bool) -> None:
    judged_run = report(classifier=trained(), classifier_run="older")
    page = Elements(result_page(judged_run, None, LAYOUT, CURRENT, served=served))
    for words in (
        "The classifier of older is current with this result.",
        "figureby sessionby hash (optimistic)",
        "91.2%, 95% interval 89.2% to 93.2%97.5%, 95% interval",
        "(coarse)nonenone",
        "cost of the PCA0.5 points",
        "0.125, 0.025",
        "(leak)12.0%",
        "1,234 of 31 labels",
        "in 42 seconds; 2.0 MB",
        "It does not become the current one, judged by session: The nearest mean is better.",
        "3 labels had no photo held out, so no figure is of them: Fig, Lime and 1 more.",
        "PearApple7",
        "A quarter of the new photos look like none before.",
        "25.0% of them are farther",
    ):
        assert words in page.text
    assert "Label 9" in page.text
    assert "Label 10" not in page.text, "the worst ten"


def test_a_figure_by_hash_never_stands_without_its_warning() -> None:
    by_hash = report(classifier=trained(judged=judged("hash", 0.99)))
    line = run_index.summary(by_hash, "k")
    for text in (
        " ".join(headline(by_hash, LAYOUT, CURRENT)),
        Elements(runs_page([line], [])).text,
        Elements(comparison_page(by_hash, by_hash)).text,
    ):
        assert "99.0% by hash (optimistic)" in text


def test_what_could_not_be_judged_says_so() -> None:
    shown = report(classifier=trained(judged=None, not_tested_count=0, drift=None))
    page = Elements(result_page(shown, None, LAYOUT, CURRENT, served=True))
    assert "right label (top-1)not tested97.5%" in page.text
    assert "judged by hash (optimistic): The nearest mean is better." in page.text
    assert page.text.count("by hash (optimistic)") == 6, "table, gate, two curves, two lists"
    assert "held out, so" not in page.text


def test_where_by_hash_was_asked_for_its_figures_stand_once() -> None:
    only = report(classifier=trained(judged=judged("hash", 0.99)))
    text = Elements(result_page(only, None, LAYOUT, CURRENT, served=True)).text
    assert "figureby hash (optimistic)right label (top-1)99.0%" in text.replace("\n", "")


def test_why_there_is_no_classifier_is_one_sentence_and_no_figure() -> None:
    skipped = trained(skipped="Two labels are too few.", judged=None, by_hash=None, drift=None)
    page = Elements(result_page(report(classifier=skipped), None, LAYOUT, CURRENT, served=True))
    assert "There is none: Two labels are too few." in page.text
    assert "top-1" not in page.text
    assert not [attrs for _, attrs in page.tags if "confusion.png" in (attrs.get("href") or "")]


def test_reports_and_lines_of_before_there_were_classifiers_are_shown() -> None:
    older: Any = {name: value for name, value in report().items() if not name.startswith("classifier")}
    assert "Classifier" not in Elements(result_page(older, None, LAYOUT, CURRENT, served=True)).text
    assert "classifier right innonenone" in Elements(comparison_page(older, older)).text
    line: Any = run_index.summary(older, "k")
    assert (line["top1"], line["split"], line["drift"]) == (None, None, None)
    short = {name: value for name, value in line.items() if name not in ("top1", "split", "drift")}
    assert "r" in Elements(runs_page([short], [])).text  # type: ignore[list-item]


def test_the_page_of_all_runs_counts_warnings_of_drift() -> None:
    lines = [
        run_index.summary(report(classifier=trained(drift={**trained()["drift"], "warnings": said})), "k")  # type: ignore[dict-item]
        for said in (["one", "two"], [])
    ]
    assert [line["drift"] for line in lines] == [2, 0]
    text = Elements(runs_page(lines, [])).text
    assert "91.2% by session" in text
    assert "2 warnings" in text


@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_of_a_judgement_is_shown_and_never_run(text: str) -> None:
    odd = trained(
        not_tested=[text],
        worst_labels=[{"label": text, "photos": 1, "right": 0.0, "f1": 0.0}],
        confusions=[{"label": text, "predicted": text, "photos": 1}],
        gate={"passed": True, "reason": text, "current_top1": None},
    )
    page = Elements(result_page(report(classifier=odd), None, LAYOUT, CURRENT, served=True))
    assert [tag for tag, _ in page.tags].count("script") == 2, "the variance and the page's own"
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert page.text.count(text) >= 5


def test_the_curves_show_the_numbers_from_left_to_right() -> None:
    covered = ElementTree.fromstring(charts.coverage(trained()["coverage"]))
    bins = ElementTree.fromstring(charts.reliability(trained()["reliability"]))
    assert len(covered.findall("circle")) == 2, "where nothing is answered, nothing is right"
    across = [float(str(dot.get("cx"))) for dot in covered.findall("circle")]
    assert across == sorted(across)
    small, large = (float(str(dot.get("r"))) for dot in bins.findall("circle"))
    assert small < large
    assert bins.find("path[@class='limit']") is not None
    assert covered.find("path[@class='limit']") is None


def test_a_sentence_names_the_labels_that_were_not_tested() -> None:
    assert judgement.not_tested(trained(not_tested_count=2)) == (
        "2 labels had no photo held out, so no figure is of them: Fig, Lime."
    )
    assert judgement.not_tested(trained(not_tested=["Fig"], not_tested_count=1)) == (
        "1 label had no photo held out, so no figure is of it: Fig."
    )
    assert judgement.not_tested(trained(not_tested_count=0)) is None
    by_hash = judgement.not_tested(trained(judged=None, not_tested_count=2))
    assert by_hash is not None
    assert "the figures are by hash" in by_hash
