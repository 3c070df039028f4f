"""What runs have cost this month, from their reports, and whether another may start by itself."""

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from fruit_contract.layout import REPORT_NAME, REPORTS_PREFIX

UNATTENDED: Final = ("scheduled", "asset_triggered")
"""The run types (Airflow's ``DagRunType``) that no person has asked for."""


class MonthlyBudgetError(RuntimeError):
    """A run that starts by itself would go beyond the month's ceiling; one sentence."""


@dataclass
class Spending:
    """EUR of the runs begun this calendar month (UTC), and the reports that did not tell."""

    eur: float = 0.0
    runs: int = 0
    unknown: list[str] = field(default_factory=list)

    def words(self) -> str:
        unknown = f", and {len(self.unknown)} with unknown cost" if self.unknown else ""
        return f"{self.eur:.2f} EUR in {self.runs} run{'s' * (self.runs != 1)}{unknown}"


def month_so_far(s3: Any, bucket: str, now: datetime) -> Spending:
    """Sum the reports of this month. Only those written since its first day are read.

    A report that cannot be read, or has a cluster and no cost, is unknown, and counts nothing.
    """
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spending = Spending()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=REPORTS_PREFIX):
        for entry in page.get("Contents", []):
            if entry["Key"].endswith(f"/{REPORT_NAME}") and entry["LastModified"] >= month:
                _add(spending, s3, bucket, entry["Key"], month)
    return spending


def _add(spending: Spending, s3: Any, bucket: str, key: str, month: datetime) -> None:
    try:
        report = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if datetime.fromisoformat(report["started_at"]) < month:
            return
        actual = report["cost"]["actual"]
        if actual is None and report["cluster"]["id"] is None:
            actual = 0.0
        if isinstance(actual, bool) or not math.isfinite(actual) or actual < 0:
            raise ValueError(actual)
    except (ClientError, BotoCoreError, ValueError, TypeError, KeyError):
        spending.unknown.append(key)
        return
    spending.eur += actual
    spending.runs += 1


def check_month(run_type: str, spending: Spending, worst_eur: float, monthly_budget_eur: float) -> None:
    """Refuse a run nobody asked for when it could take the month above its ceiling."""
    if run_type not in UNATTENDED or spending.eur + worst_eur <= monthly_budget_eur:
        return
    raise MonthlyBudgetError(
        f"This month has cost {spending.words()}, and this {run_type} run may cost {worst_eur:.2f} EUR: "
        f"together more than the {monthly_budget_eur:g} EUR allowed a month. Trigger it by hand, wait for "
        "next month, or raise FRUITS_MONTHLY_BUDGET_EUR."
    )
