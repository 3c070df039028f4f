"""The Cost Explorer request that shows what AWS billed for one run.

A person asks it, not the pipeline: Cost Explorer answers in us-east-1 only, a day later.
"""

from datetime import date, timedelta
from typing import Any

from fruit_pipeline.settings.deployment import PROJECT


def cost_query(run_key: str, first_day: date, last_day: date) -> dict[str, Any]:
    """A GetCostAndUsage request for the run's tags, by service and usage type, day by day (UTC)."""
    return {
        "TimePeriod": {"Start": first_day.isoformat(), "End": (last_day + timedelta(days=1)).isoformat()},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost", "UsageQuantity"],
        "Filter": {
            "And": [
                {"Tags": {"Key": "project", "Values": [PROJECT], "MatchOptions": ["EQUALS"]}},
                {"Tags": {"Key": "run_key", "Values": [run_key], "MatchOptions": ["EQUALS"]}},
            ]
        },
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}],
    }
