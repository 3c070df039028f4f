"""A real Airflow that watches a queue, on local AWS: the system of both rehearsals of drops."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from local_run.local_stack import Paths, Stack, StackPlan
from local_run.pace import measure
from local_run.watching import Watching, watching
from tests.conftest import REPOSITORY

BUCKET: Final = "fruits-drops"
PREFIX: Final = "Test/"
QUEUE: Final = "photos"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the system keeps its state, and leaves its results below ``out``."""
    return tmp_path_factory.mktemp("drops")


@pytest.fixture(scope="module")
def system(request: pytest.FixtureRequest, state: Path) -> Iterator[Watching]:
    """Up while the module's tests run, with what the module's ``settings`` gives Airflow at this pace."""
    paths = Paths(REPOSITORY, state, state / "out")
    pace = measure()
    settings: Mapping[str, str] = request.module.settings(pace)
    plan = StackPlan(paths, BUCKET, request.module.TIME_FACTOR, settings=settings, queue=QUEUE)
    with watching(Stack(plan), PREFIX, pace) as up:
        yield up
