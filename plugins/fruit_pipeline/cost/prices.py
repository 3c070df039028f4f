"""What EC2, EMR, EBS and S3 charge: a dated snapshot, and the types that it covers.

:mod:`fruit_pipeline.cost.live_prices` replaces it, part by part, by what the account's own price list
answers.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.instance_types import vcpus

SNAPSHOT: Final = "snapshot"
LIVE: Final = "live"
STALE_AFTER: Final = timedelta(days=180)
"""Older than this, the snapshot and the exchange rate are used with a warning."""

HOURS_PER_MONTH: Final = 730
"""AWS's own hours in a month, for prices by GB and month."""
SNAPSHOT_FILE: Final = Path(__file__).with_name("price_snapshot.json")


class PriceError(PipelineError):
    """A price that nobody knows, or an amount that makes no sense; one sentence."""


@dataclass(frozen=True)
class S3Prices:
    """USD. PUT stands for PUT, COPY, POST and LIST; GET for GET, HEAD and all others."""

    put_1000: float
    get_1000: float
    gb_month: float


@dataclass(frozen=True)
class Prices:
    """The prices of one region in USD, and where they come from."""

    region: str
    source: str
    """``snapshot``, ``live``, or which part is which."""
    date: date
    """The day of the oldest part."""
    stale: bool
    on_demand: Mapping[str, float]
    """EC2, Linux, per instance-hour, by type."""
    emr_fee: Mapping[str, float]
    """Per instance-hour on top of EC2's price, Spot or not, by type."""
    ebs_gb_month: float
    """gp3."""
    s3: S3Prices
    spot: Mapping[str, float] = field(default_factory=dict)
    """EC2 Spot per instance-hour, by type, where the account answered."""


def is_stale(day: date, today: date) -> bool:
    return today - day > STALE_AFTER


@lru_cache(maxsize=1)
def _snapshot() -> Any:
    return json.loads(SNAPSHOT_FILE.read_text(encoding="utf-8"))


def snapshot_date() -> date:
    return date.fromisoformat(_snapshot()["date"])


def snapshot_on_demand(region: str, types: Collection[str]) -> dict[str, float]:
    """EC2's price by type, of the types the snapshot knows in that region.

    The sizes of a family cost in proportion to their vCPUs, rounded to 4 decimals.
    """
    families = _snapshot()["regions"].get(region, {}).get("vcpu_hour", {})
    usd_per_hour = {}
    for instance_type in types:
        family = instance_type.partition(".")[0]
        if family in families:
            usd_per_hour[instance_type] = round(families[family] * vcpus(instance_type), 4)
    return usd_per_hour


def snapshot_emr_fee(on_demand: Mapping[str, float]) -> dict[str, float]:
    """At most what EMR charges: a quarter of the region's on-demand price."""
    share = _snapshot()["emr_fee_share"]
    return {instance_type: share * price for instance_type, price in on_demand.items()}


def snapshot_ebs(region: str) -> float | None:
    price: float | None = _snapshot()["regions"].get(region, {}).get("ebs_gp3_gb_month")
    return price


def snapshot_s3(region: str) -> S3Prices | None:
    known = _snapshot()["regions"].get(region)
    if not known:
        return None
    return S3Prices(known["s3_put_1000"], known["s3_get_1000"], known["s3_standard_gb_month"])


def unknown_price(what: str, region: str) -> PriceError:
    """The refusal when neither the snapshot nor the account knows a price."""
    regions = ", ".join(_snapshot()["regions"])
    return PriceError(
        f"The price of {what} in {region} is not in the snapshot (it has {regions}) and the account's price "
        "list did not give it: allow pricing:GetProducts in eu-central-1, or choose another region or type."
    )
