"""`make drops`, smaller: two drops are two runs, each photo is featurized once, and no cluster is left.

The runs are real ones, of the form's defaults, for that is what a drop starts: 256 components, and so a
few more photos than that.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from local_run import drops, images
from local_run.airflow_server import free_port
from local_run.drops import Figure, Script
from local_run.stack import Paths, Stack
from local_run.watching import FEATURES, Watching, watching
from tests.conftest import REPOSITORY
from tests.drops.conftest import BUCKET, PREFIX, QUEUE

SCRIPT = Script(first=260, more=6, overwritten=2, deleted=3)


@dataclass
class Played:
    """The script's end, with everything still up."""

    system: Watching
    figures: list[Figure]
    out: Path
    output: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    state = tmp_path_factory.mktemp("make-drops")
    photos = drops.choose(images.generate(state / "images", SCRIPT.photos), SCRIPT)
    paths = Paths(REPOSITORY, state, state / "out")
    stack = Stack(paths, free_port(), BUCKET, time_factor=1000, settings=drops.IN_A_HURRY, queue=QUEUE)
    stack.airflow.migrate()
    console = Console(record=True, width=400, file=io.StringIO())
    with watching(stack, PREFIX) as system:
        figures = drops.rehearse(system, photos, SCRIPT, paths.out, console)
        yield Played(system, figures, paths.out, console.export_text())


def test_every_figure_is_as_it_should_be(played: Played) -> None:
    assert drops.problems(played.figures) == [], played.output
    assert [figure.found for figure in played.figures] == [2, 260, 8, 2, 3, 263, 0, 0]


def test_three_bursts_overwritten_and_deleted_photos_are_one_drop(played: Played) -> None:
    first, second = (event["extra"] for event in played.system.events("photo_drop"))
    assert (first["new"], first["changed"], first["deleted"]) == (260, 0, 0)
    assert (second["new"], second["changed"], second["deleted"]) == (6, 2, 3)
    assert (second["created"], second["removed"]) == (8, 3), "S3 told of deleted photos, too"


def test_the_run_by_hand_made_no_cluster_beside_the_two_that_are_terminated(played: Played) -> None:
    states = [cluster["Status"]["State"] for cluster in drops.clusters(played.system)]
    assert states == ["TERMINATED", "TERMINATED"]
    run = played.system.api.run(FEATURES, drops.BY_HAND)
    assert run["note"] == "Started by hand, through the API."


def test_the_result_has_one_row_for_each_photo_in_the_bucket(played: Played) -> None:
    pages = played.system.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=PREFIX)
    there = [f"s3://{BUCKET}/{entry['Key']}" for page in pages for entry in page["Contents"]]
    table = pq.read_table(played.out / "latest" / "pca_output")
    assert sorted(table.column("path").to_pylist()) == sorted(there)
