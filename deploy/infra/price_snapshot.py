"""Today's prices of the EU's regions, from the account's price list, for the snapshot that is shipped."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from fruit_pipeline.cost.live_prices import PriceList
from fruit_pipeline.cost.prices import SNAPSHOT_FILE, PriceError
from fruit_pipeline.settings.instance_types import GRAVITON_FAMILIES, vcpus

_ASKED_SIZE = "xlarge"


def refresh(pricing: Any, today: date, file: Path = SNAPSHOT_FILE) -> list[str]:
    """Write the snapshot anew, for the regions that it has; these. ``PriceError`` writes nothing.

    A family that a region does not sell is left out.
    """
    snapshot = json.loads(file.read_text(encoding="utf-8"))
    prices = {region: _of_region(PriceList(pricing, region), region) for region in snapshot["regions"]}
    said = f"AWS Price List Query API, GetProducts, on {today}"
    snapshot["sources"] |= {
        "vcpu_hour": f"EC2 on demand, Linux, shared tenancy, USD per vCPU and hour: {said}."
    }
    snapshot["sources"]["ebs_gp3_gb_month, s3_*"] = f"gp3 storage and S3 Standard, first tier: {said}."
    snapshot |= {"date": today.isoformat(), "regions": prices}
    file.write_text(json.dumps(snapshot, indent=2) + "\n", encoding="utf-8")
    return list(prices)


def _of_region(listed: PriceList, region: str) -> dict[str, Any]:
    ebs, s3 = listed.ebs(), listed.s3()
    by_family = {family: listed.ec2(f"{family}.{_ASKED_SIZE}") for family in GRAVITON_FAMILIES}
    sold = {family: usd for family, usd in by_family.items() if usd is not None}
    if ebs is None or s3 is None or not sold:
        raise PriceError(
            f"The price list did not answer for {region}, and the snapshot stays as it was: give "
            "credentials that may call pricing:GetProducts in eu-central-1."
        )
    return {
        "ebs_gp3_gb_month": ebs,
        "s3_standard_gb_month": s3.gb_month,
        "s3_put_1000": round(s3.put_1000, 7),
        "s3_get_1000": round(s3.get_1000, 7),
        "vcpu_hour": {
            family: round(usd / vcpus(f"{family}.{_ASKED_SIZE}"), 7) for family, usd in sold.items()
        },
    }
