"""What runs have cost this month, and whether another run may start by itself."""

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from fruit_contract.layout import REPORT_NAME, REPORTS_PREFIX
from fruit_pipeline.errors import PipelineError

BY_DROP: Final = "asset_triggered"
UNATTENDED: Final = ("scheduled", BY_DROP)
"""The run types (Airflow's ``DagRunType``) that no person has asked for."""


class MonthlyBudgetError(PipelineError):
    """A run that starts by itself would go beyond the month's ceiling; one sentence."""


@dataclass
class Spending:
    """EUR of the runs begun this calendar month (UTC), and the reports that did not tell."""

    eur: float = 0.0
    runs: int = 0
    at_worst: int = 0
    """How many of the runs are counted at their worst case, for what they cost is not known."""
    unknown: list[str] = field(default_factory=list)

    def words(self) -> str:
        at_worst = f", {self.at_worst} of them at worst" if self.at_worst else ""
        unknown = f", and {len(self.unknown)} with unknown cost" if self.unknown else ""
        return f"{self.eur:.2f} EUR in {self.runs} run{'s' * (self.runs != 1)}{at_worst}{unknown}"


def month_so_far(s3: Any, bucket: str, now: datetime, but: str | None = None) -> Spending:
    """Sum the reports of this month, but one. Only those written since its first day are read.

    A run with a cluster and no cost counts what it was estimated to cost at worst. One without that
    too, or whose report cannot be read, is unknown, and counts nothing.
    """
    month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spending = Spending()
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=REPORTS_PREFIX):
        for entry in page.get("Contents", []):
            key = entry["Key"]
            if key.endswith(f"/{REPORT_NAME}") and key != but and entry["LastModified"] >= month:
                _add(spending, s3, bucket, key, month)
    return spending


def _add(spending: Spending, s3: Any, bucket: str, key: str, month: datetime) -> None:
    try:
        report = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
        if datetime.fromisoformat(report["started_at"]) < month:
            return
        cost, had_cluster = report["cost"], report["cluster"]["id"] is not None
        at_worst = cost["actual"] is None and had_cluster
        eur = cost["estimate"] if at_worst else cost["actual"] if had_cluster else 0.0
        if isinstance(eur, bool) or not math.isfinite(eur) or eur < 0:
            raise ValueError(eur)
    except (ClientError, BotoCoreError, ValueError, TypeError, KeyError):
        spending.unknown.append(key)
        return
    spending.eur += eur
    spending.at_worst += at_worst
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
