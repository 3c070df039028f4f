"""Today's prices from the account's price list and Spot history, or else from the snapshot.

The Price List API exists in us-east-1, eu-central-1 and ap-south-1. Only the one in the EU is
asked: it answers for every region. Filters and attribute names: AWS Price List Query API.
"""

import json
import math
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fruit_pipeline.cost import prices
from fruit_pipeline.cost.prices import LIVE, SNAPSHOT, Prices, S3Prices

PRICING_REGION: Final = "eu-central-1"
CLIENT_CONFIG: Final = Config(connect_timeout=5, read_timeout=20, retries={"total_max_attempts": 2})
"""A closed network must cost a run seconds, not minutes: the snapshot is at hand."""

LOWEST_SPOT_SHARE: Final = 0.0999
"""EC2's Spot prices reach down to a tenth of on-demand ("up to 90 % off"); less is no price."""


def read_prices(
    region: str,
    types: Collection[str],
    pricing: Any,
    ec2: Any,
    now: datetime,
    since: datetime | None = None,
) -> Prices:
    """The prices of ``types`` in ``region``: live where the account answers, else the snapshot.

    ``pricing`` is a client in :data:`PRICING_REGION`, ``ec2`` one in the run's region. Spot prices
    are the highest from ``since`` to ``now``, or those in force now. Raises
    :class:`fruit_pipeline.cost.prices.PriceError` for a price that neither knows.
    """
    parts: dict[str, str] = {}
    types = sorted(set(types))
    live = PriceList(pricing, region)
    on_demand = _part("EC2", {t: live.ec2(t) for t in types}, prices.snapshot_on_demand(region, types), parts)
    emr_fee = _part("EMR", {t: live.emr(t) for t in types}, prices.snapshot_emr_fee(on_demand), parts)
    for service, known in (("EC2", on_demand), ("EMR", emr_fee)):
        for instance_type in types:
            if instance_type not in known:
                raise prices.unknown_price(f"{service} {instance_type}", region)
    ebs = live.ebs()
    parts["EBS"] = LIVE if ebs is not None else SNAPSHOT
    ebs = ebs if ebs is not None else prices.snapshot_ebs(region)
    s3 = live.s3()
    parts["S3"] = LIVE if s3 is not None else SNAPSHOT
    s3 = s3 or prices.snapshot_s3(region)
    if ebs is None or s3 is None:
        raise prices.unknown_price("EBS" if ebs is None else "S3", region)
    today = now.date()
    day = prices.snapshot_date() if SNAPSHOT in parts.values() else today
    return Prices(
        region=region,
        source=_source(parts),
        date=day,
        stale=prices.is_stale(day, today),
        on_demand=on_demand,
        emr_fee=emr_fee,
        ebs_gb_month=ebs,
        s3=s3,
        spot=spot_prices(ec2, on_demand, since or now, now),
    )


def _part(
    name: str, answered: dict[str, float | None], snapshot: dict[str, float], parts: dict[str, str]
) -> dict[str, float]:
    """The live prices when all types have one, else the snapshot completed by what is live."""
    live = {key: value for key, value in answered.items() if value is not None}
    parts[name] = LIVE if len(live) == len(answered) else SNAPSHOT
    return {**snapshot, **live}


def _source(parts: dict[str, str]) -> str:
    used = sorted(set(parts.values()))
    if len(used) == 1:
        return used[0]
    return ", ".join(
        f"{source} ({', '.join(name for name in parts if parts[name] == source)})" for source in used
    )


class PriceList:
    """Prices in USD from GetProducts; None for what it does not give. A refusal is asked once."""

    def __init__(self, pricing: Any, region: str) -> None:
        self._pricing = pricing
        self._region = region

    def ec2(self, instance_type: str) -> float | None:
        return self._price(
            "AmazonEC2",
            instanceType=instance_type,
            operatingSystem="Linux",
            tenancy="Shared",
            preInstalledSw="NA",
            capacitystatus="Used",
        )

    def emr(self, instance_type: str) -> float | None:
        return self._price("ElasticMapReduce", instanceType=instance_type, softwareType="EMR")

    def ebs(self) -> float | None:
        return self._price("AmazonEC2", productFamily="Storage", volumeApiName="gp3")

    def s3(self) -> S3Prices | None:
        put = self._price("AmazonS3", productFamily="API Request", group="S3-API-Tier1")
        get = self._price("AmazonS3", productFamily="API Request", group="S3-API-Tier2")
        month = self._price("AmazonS3", productFamily="Storage", volumeType="Standard")
        if put is None or get is None or month is None:
            return None
        return S3Prices(put * 1000, get * 1000, month)

    def _price(self, service: str, **attributes: str) -> float | None:
        """The highest first-tier on-demand price of the products with these attributes."""
        if self._pricing is None:
            return None
        filters = [
            {"Type": "TERM_MATCH", "Field": name, "Value": value}
            for name, value in {"regionCode": self._region, **attributes}.items()
        ]
        try:
            answer = self._pricing.get_products(ServiceCode=service, Filters=filters)
        except (ClientError, BotoCoreError):
            self._pricing = None
            return None
        return max((usd for product in answer["PriceList"] for usd in _first_tier(product)), default=None)


def _first_tier(product: str) -> list[float]:
    """USD per unit at the first tier of one product of the price list, free ones left out.

    Empty for a product that is not in the documented shape: then there is no live price.
    """
    try:
        terms = json.loads(product)["terms"]["OnDemand"].values()
        dimensions = [dimension for term in terms for dimension in term["priceDimensions"].values()]
        usd = [float(each["pricePerUnit"]["USD"]) for each in dimensions if each["beginRange"] == "0"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
    return [price for price in usd if 0 < price < math.inf]


def spot_prices(ec2: Any, on_demand: Mapping[str, float], start: datetime, end: datetime) -> dict[str, float]:
    """The highest Spot price of each type, over the region's zones, from ``start`` to ``end``.

    EC2 answers with the prices in force at ``start`` and with every change after it. Empty when
    the account does not say. A price is never above on-demand, for that is the cluster's bid, and
    one far below what EC2 ever asks is left out.
    """
    highest: dict[str, float] = {}
    try:
        pages = ec2.get_paginator("describe_spot_price_history").paginate(
            InstanceTypes=list(on_demand),
            ProductDescriptions=["Linux/UNIX"],
            StartTime=start,
            EndTime=end,
        )
        for entry in (entry for page in pages for entry in page["SpotPriceHistory"]):
            name = entry["InstanceType"]
            if name in on_demand:
                highest[name] = max(highest.get(name, 0.0), float(entry["SpotPrice"]))
    except (ClientError, BotoCoreError):
        return {}
    return {
        name: min(usd, on_demand[name])
        for name, usd in highest.items()
        if usd >= LOWEST_SPOT_SHARE * on_demand[name]
    }
