"""Answers of the Price List API in the shape AWS gives them, and prices for tests of sums."""

import json
from collections.abc import Iterable
from datetime import date
from typing import Any

from fruit_pipeline.cost import prices
from fruit_pipeline.cost.prices import S3Prices


def snapshot_of(region: str, types: Iterable[str], today: date = date(2025, 3, 3)) -> prices.Prices:
    """The snapshot's prices, without Spot prices."""
    on_demand = prices.snapshot_on_demand(region, list(types))
    s3, ebs = prices.snapshot_s3(region), prices.snapshot_ebs(region)
    assert isinstance(s3, S3Prices)
    assert ebs is not None
    return prices.Prices(
        region=region,
        source=prices.SNAPSHOT,
        date=prices.snapshot_date(),
        stale=prices.is_stale(prices.snapshot_date(), today),
        on_demand=on_demand,
        emr_fee=prices.snapshot_emr_fee(on_demand),
        ebs_gb_month=ebs,
        s3=s3,
    )


def product(usd: str, *, unit: str = "Hrs", later_tier: str | None = None) -> str:
    """One entry of ``PriceList``: a product and its on-demand term, with a second tier or without."""

    def dimension(price: str, begin: str, end: str) -> dict[str, Any]:
        return {
            "unit": unit,
            "beginRange": begin,
            "endRange": end,
            "description": "",
            "appliesTo": [],
            "rateCode": "SKU.JRTCKXETXF.6YS6EN2CT7",
            "pricePerUnit": {"USD": price},
        }

    dimensions = {"a": dimension(usd, "0", "51200" if later_tier else "Inf")}
    if later_tier:
        dimensions["b"] = dimension(later_tier, "51200", "Inf")
    return json.dumps(
        {
            "product": {"productFamily": "", "attributes": {}, "sku": "SKU"},
            "serviceCode": "",
            "terms": {
                "OnDemand": {
                    "SKU.JRTCKXETXF": {
                        "priceDimensions": dimensions,
                        "sku": "SKU",
                        "effectiveDate": "2026-11-01T00:00:00Z",
                        "offerTermCode": "JRTCKXETXF",
                        "termAttributes": {},
                    }
                }
            },
            "version": "20261101000000",
            "publicationDate": "2026-11-01T00:00:00Z",
        }
    )
