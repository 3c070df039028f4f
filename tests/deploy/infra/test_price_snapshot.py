"""The shipped prices are written anew from the price list, or stay as they were."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from fruit_pipeline.cost.prices import SNAPSHOT_FILE, PriceError
from infra import price_snapshot
from tests.fruit_pipeline.cost.price_lists import product

TODAY = date(2026, 11, 29)
USD = {
    "Storage gp3": "0.09",
    "Storage Standard": "0.025",
    "S3-API-Tier1": "0.000006",
    "S3-API-Tier2": "0.0000005",
}


class PriceList:
    """Answers as the Price List API does; has no r7g, and nothing at all in the regions that are silent."""

    def __init__(self, *silent: str) -> None:
        self.silent = silent

    def get_products(self, **question: Any) -> dict[str, Any]:
        asked = {each["Field"]: each["Value"] for each in question["Filters"]}
        kind = asked.get("group") or " ".join(
            filter(None, (asked.get("productFamily"), asked.get("volumeApiName"), asked.get("volumeType")))
        )
        usd = USD.get(kind, "0.2")
        none = asked["regionCode"] in self.silent or asked.get("instanceType", "").startswith("r7g")
        return {"PriceList": [] if none else [product(usd)]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(SNAPSHOT_FILE, tmp_path / "prices.json"))


def test_each_region_of_the_snapshot_has_todays_prices(file: Path) -> None:
    before = json.loads(file.read_text())
    assert price_snapshot.refresh(PriceList(), TODAY, file) == list(before["regions"])
    after = json.loads(file.read_text())
    assert (after["date"], after.keys(), after["regions"].keys()) == (
        "2026-11-29",
        before.keys(),
        before["regions"].keys(),
    )
    for prices in after["regions"].values():
        assert prices.pop("vcpu_hour") == dict.fromkeys(("m6g", "m7g", "c6g", "c7g", "r6g"), 0.05)
        assert prices == {
            "ebs_gp3_gb_month": 0.09,
            "s3_standard_gb_month": 0.025,
            "s3_put_1000": 0.006,
            "s3_get_1000": 0.0005,
        }
    assert "2026-11-29" in after["sources"]["vcpu_hour"]
    assert after["emr_fee_share"] == before["emr_fee_share"]


def test_a_region_without_an_answer_leaves_the_snapshot_as_it_is(file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(PriceError, match="did not answer for eu-west-3, and the snapshot stays as it was"):
        price_snapshot.refresh(PriceList("eu-west-3"), TODAY, file)
    assert file.read_bytes() == before
