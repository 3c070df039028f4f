"""A message says in plain text what happened, to which run and cluster, at what cost, and what to do."""

from typing import Any

import pytest

from fruit_contract.report_schema import Cost
from fruit_pipeline.cost import billing
from fruit_pipeline.notices import messages
from fruit_pipeline.notices.messages import Notice


def report(actual: float | None = 0.5, expected: float | None = 0.19, clusters: int = 1) -> Any:
    ids = [{"id": f"j-{number}", "final_state": "TERMINATED"} for number in range(clusters)]
    return {"clusters": ids, "cost": {"actual": actual, "expected": expected, "estimate": 2.82}}


def test_a_message_has_its_run_and_facts_on_lines_of_their_own() -> None:
    notice = Notice("a run is red", "It failed.", "mend it.", ["Cluster: j-1"])
    assert notice.text("fruit_features", "run 1", "http://a/dags/fruit_features/runs/run%201") == (
        "It failed.\n\n"
        "Run: run 1 of fruit_features\n"
        "Cluster: j-1\n"
        "Look: http://a/dags/fruit_features/runs/run%201\n\n"
        "What to do: mend it."
    )
    assert "Look" not in notice.text("fruit_features", "run 1", None)


def test_the_facts_are_clusters_cost_and_what_is_current() -> None:
    pointer = {"run_key": "older", "published_at": "2026-11-28T03:20:00+00:00"}
    assert messages.facts_of(report(clusters=2), pointer) == [
        "Cluster: j-0 (TERMINATED), j-1 (TERMINATED)",
        "Cost: 0.50 EUR; 0.19 EUR was expected, 2.82 EUR at worst",
        "Current result: that of run older, of 2026-11-28T03:20:00+00:00",
    ]


def test_a_run_that_got_nowhere_has_no_cluster_no_cost_and_perhaps_no_result() -> None:
    assert messages.facts_of(report(None, None, clusters=0), None) == [
        "Cluster: none",
        "Cost: nothing",
        "Current result: none yet",
    ]


def test_a_bill_that_nobody_knows_is_no_sum() -> None:
    assert "Cost: an unknown amount; 0.19 EUR was expected" in messages.facts_of(report(None), None)[1]


def test_a_red_run_without_a_report_says_what_is_current_all_the_same() -> None:
    text = messages.red_run("The run failed in plan: no photos.", []).text("d", "r", None)
    assert "The run failed in plan: no photos." in text
    assert "Current result: that of the last green run, as before" in text


@pytest.mark.parametrize(
    ("actual", "expected", "is_high"),
    [
        (0.20, 0.20, False),
        (0.24, 0.20, False),
        (0.26, 0.20, True),
        (2.1, 1.9, True),
        (None, 0.20, False),
        (0.0, None, False),
    ],
    ids=["as expected", "about", "well above", "above the budget", "unknown", "never estimated"],
)
def test_a_bill_is_high_well_above_what_was_expected_or_above_the_budget(
    actual: float | None, expected: float | None, is_high: bool
) -> None:
    cost: Cost = report(actual, expected)["cost"]
    assert billing.is_high(cost, budget_eur=2.0) == is_high
