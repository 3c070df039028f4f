"""The month's ceiling pauses runs that start by themselves, never a person's, and reads what it must."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.s3.models import s3_backends

from fruit_pipeline.cost import monthly_budget
from fruit_pipeline.cost.monthly_budget import MonthlyBudgetError, Spending
from tests.fruit_pipeline.conftest import BUCKET

NOW = datetime.now(UTC)
MONTH = NOW.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def put(s3: Any, run: str, body: Any) -> str:
    key = f"Results/reports/run={run}/report.json"
    s3.put_object(Bucket=BUCKET, Key=key, Body=body if isinstance(body, bytes) else json.dumps(body).encode())
    return key


def report(
    actual: Any, cluster: str | None = "j-1", started_at: datetime = NOW, estimate: Any = None
) -> dict[str, Any]:
    return {
        "started_at": started_at.isoformat(),
        "cost": {"actual": actual, "estimate": estimate},
        "cluster": {"id": cluster},
    }


def test_the_month_is_the_sum_of_its_reports(s3: Any) -> None:
    put(s3, "a", report(1.5))
    put(s3, "b", report(0.25))
    put(s3, "refused", report(None, cluster=None))
    s3.put_object(Bucket=BUCKET, Key="Results/reports/run=a/featurize.json", Body=b"{}")
    month = monthly_budget.month_so_far(s3, BUCKET, NOW)
    assert (month.eur, month.runs, month.unknown) == (1.75, 3, [])


def test_a_cluster_whose_cost_is_not_known_counts_its_worst_case(s3: Any) -> None:
    put(s3, "a", report(1.5, estimate=7.0))
    put(s3, "unpriced", report(None, estimate=2.0))
    put(s3, "refused", report(None, cluster=None, estimate=99.0))
    month = monthly_budget.month_so_far(s3, BUCKET, NOW)
    assert (month.eur, month.runs, month.unknown) == (3.5, 3, [])
    assert month.words() == "3.50 EUR in 3 runs, 1 of them at worst"


def test_the_report_of_the_run_that_asks_is_left_out(s3: Any) -> None:
    put(s3, "other", report(1.0))
    own = put(s3, "own", report(5.0))
    assert monthly_budget.month_so_far(s3, BUCKET, NOW, but=own).eur == 1.0


def test_a_run_begun_last_month_is_not_counted_even_if_its_report_is_new(s3: Any) -> None:
    put(s3, "old", report(9.0, started_at=MONTH - timedelta(seconds=1)))
    put(s3, "first", report(1.0, started_at=MONTH))
    assert monthly_budget.month_so_far(s3, BUCKET, NOW).eur == 1.0


def test_reports_written_before_this_month_are_not_read(s3: Any) -> None:
    for run in ("old", "older"):
        key = put(s3, run, report(9.0))
        written = s3_backends["123456789012"]["aws"].get_object(BUCKET, key)
        written.last_modified = (MONTH - timedelta(days=1)).replace(tzinfo=None)
    put(s3, "new", report(1.0))
    read: list[str] = []
    s3.meta.events.register(
        "provide-client-params.s3.GetObject", lambda params, **_: read.append(params["Key"])
    )
    assert monthly_budget.month_so_far(s3, BUCKET, NOW).eur == 1.0
    assert read == ["Results/reports/run=new/report.json"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"started_at": 3}',
        report(None),
        report(None, estimate="2"),
        report(None, estimate=True),
        report("1.5"),
        report(-1),
        report(float("nan")),
        report(True),
    ],
)
def test_a_report_that_does_not_tell_is_unknown_and_said(s3: Any, body: Any) -> None:
    put(s3, "good", report(1.0))
    key = put(s3, "odd", body)
    month = monthly_budget.month_so_far(s3, BUCKET, NOW)
    assert (month.eur, month.runs, month.unknown) == (1.0, 1, [key])
    assert month.words() == "1.00 EUR in 1 run, and 1 with unknown cost"


def test_a_bucket_without_reports_has_cost_nothing(s3: Any) -> None:
    assert monthly_budget.month_so_far(s3, BUCKET, NOW).words() == "0.00 EUR in 0 runs"


@pytest.mark.parametrize("run_type", ["scheduled", "asset_triggered"])
def test_a_run_nobody_asked_for_is_refused_above_the_ceiling(run_type: str) -> None:
    with pytest.raises(
        MonthlyBudgetError, match=rf"cost 49\.00 EUR in 9 runs, and this {run_type} run may cost 1\.20 EUR"
    ):
        monthly_budget.check_month(run_type, Spending(49.0, 9), 1.2, 50)


@given(st.floats(0, 1e6), st.floats(0, 1e4), st.floats(0.1, 1e3))
def test_a_persons_own_run_is_accepted_whatever_the_month_has_cost(
    spent: float, worst: float, ceiling: float
) -> None:
    monthly_budget.check_month("manual", Spending(spent, 1), worst, ceiling)


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0.1, 200))
def test_a_scheduled_run_starts_only_if_the_month_stays_within_the_ceiling(
    spent: float, worst: float, ceiling: float
) -> None:
    try:
        monthly_budget.check_month("scheduled", Spending(spent, 1), worst, ceiling)
        started = True
    except MonthlyBudgetError:
        started = False
    assert started == (spent + worst <= ceiling)
