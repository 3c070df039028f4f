"""Promise: no default costs quality. What each precision and image size keeps is on record
(docs/evidence/precision.json, written by ``python -m artifacts.quality``)."""

import json
from typing import Any

import pytest

from fruit_contract.model_files import IMAGE_SIZES, PRECISIONS
from fruit_pipeline.settings.parameters import RunParameters
from tests.conftest import REPOSITORY

POINTS = 0.5
"""Of nearest-neighbour agreement, that a default may lie below the best mode."""


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((REPOSITORY / "docs" / "evidence" / "precision.json").read_text())
    return content


def test_every_mode_that_can_be_chosen_is_on_record(record: dict[str, Any]) -> None:
    recorded = {(mode["precision"], mode["image_size"]) for mode in record["modes"]}
    assert recorded == {(precision, size) for precision in PRECISIONS for size in IMAGE_SIZES}


def test_the_defaults_are_within_half_a_point_of_the_best_mode(record: dict[str, Any]) -> None:
    # On the features: they are what precision and image size decide. The components add chance of their own.
    agreement = {(mode["precision"], mode["image_size"]): mode["agreement"] for mode in record["modes"]}
    default = RunParameters()
    chosen, best = (default.precision, default.image_size), max(agreement, key=agreement.__getitem__)
    assert agreement[chosen] >= agreement[best] - POINTS, (
        f"The defaults {chosen} agree for {agreement[chosen]} %, {best} for {agreement[best]} %: change the "
        "defaults in fruit_pipeline/settings/parameters.py, or say in docs/evidence/precision.md why not."
    )


def test_the_defaults_keep_the_minimum_variance(record: dict[str, Any]) -> None:
    default = RunParameters()
    assert record["components"] == default.components
    [mode] = [
        mode
        for mode in record["modes"]
        if (mode["precision"], mode["image_size"]) == (default.precision, default.image_size)
    ]
    assert mode["explained_variance"] >= default.minimum_variance


def test_the_page_shows_the_figures_of_the_record(record: dict[str, Any]) -> None:
    page = (REPOSITORY / "docs" / "evidence" / "precision.md").read_text()
    for mode in record["modes"]:
        row = f"| {mode['precision']} | {mode['image_size']} | {mode['images_per_second']:.0f} |"
        assert row in page, "the table is older than precision.json: run `make quality`"
