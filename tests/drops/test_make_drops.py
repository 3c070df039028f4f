"""`make drops`, smaller: two drops are two runs, each photo is featurized once, and no cluster is left.

The runs are real ones, of the form's defaults, for that is what a drop starts: 256 components, and so a
few more photos than that.
"""

import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from local_run import drops_rehearsal, generated_photos
from local_run.drops_rehearsal import Figure, Script
from local_run.watching import FEATURES, Watching
from tests.drops.conftest import BUCKET, PREFIX

SCRIPT = Script(first=260, more=6, overwritten=2, deleted=3)


settings = drops_rehearsal.in_a_hurry
TIME_FACTOR = 1000


@dataclass
class Played:
    """What the script has counted and said; the system is still up."""

    figures: list[Figure]
    output: str


@pytest.fixture(scope="module")
def played(system: Watching, state: Path) -> Played:
    photos = drops_rehearsal.choose(generated_photos.generate(state / "images", SCRIPT.photos), SCRIPT)
    console = Console(record=True, width=400, file=io.StringIO())
    figures = drops_rehearsal.rehearse(system, photos, SCRIPT, state / "out", console)
    return Played(figures, console.export_text())


def test_every_figure_is_as_it_should_be(played: Played) -> None:
    assert drops_rehearsal.problems(played.figures) == [], played.output
    assert [figure.found for figure in played.figures] == [2, 260, 8, 2, 3, 263, 0, 0]


@pytest.mark.usefixtures("played")
def test_three_bursts_overwritten_and_deleted_photos_are_one_drop(system: Watching) -> None:
    first, second = (event["extra"] for event in system.events("photo_drop"))
    assert (first["new"], first["changed"], first["deleted"]) == (260, 0, 0)
    assert (second["new"], second["changed"], second["deleted"]) == (6, 2, 3)
    assert (second["created"], second["removed"]) == (8, 3), "S3 told of deleted photos, too"


@pytest.mark.usefixtures("played")
def test_the_run_by_hand_made_no_cluster_beside_the_two_that_are_terminated(system: Watching) -> None:
    states = [cluster["Status"]["State"] for cluster in system.clusters()]
    assert states == ["TERMINATED", "TERMINATED"]
    run = system.api.run(FEATURES, drops_rehearsal.BY_HAND)
    assert run["note"] == "Started by hand, through the API."


@pytest.mark.usefixtures("played")
def test_the_result_has_one_row_for_each_photo_in_the_bucket(system: Watching, state: Path) -> None:
    pages = system.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
    there = [f"s3://{BUCKET}/{entry['Key']}" for page in pages for entry in page["Contents"]]
    table = pq.read_table(state / "out" / "latest" / "pca_output")
    assert sorted(table.column("path").to_pylist()) == sorted(there)
