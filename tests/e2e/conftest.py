"""One local system for all end-to-end tests: real scheduler, local AWS, real Spark."""

import io
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from fruit_contract.layout import DAG_ID, LATEST_KEY, RunLayout, run_key
from fruit_contract.report_schema import Report
from fruit_pipeline.results.publication import read_json
from local_run import bucket_sync, generated_photos, local_account
from local_run.airflow_server import AirflowApi
from local_run.follow import follow
from local_run.local_stack import Paths, Stack, StackPlan, running
from tests.conftest import REPOSITORY

BUCKET = "fruits-e2e"
PREFIX = "Test/"


@dataclass
class Ended:
    """A DAG run that has ended: its state, its report, and what is current on S3."""

    state: str
    report: Report | None
    layout: RunLayout
    latest: dict[str, str] | None
    output: str
    """What `make run` would have shown of the tasks."""


@dataclass
class System:
    """The running system, and what the tests do with it."""

    stack: Stack
    api: AirflowApi
    s3: Any

    def upload(self, folder: Path) -> None:
        bucket_sync.mirror(self.s3, folder, BUCKET, PREFIX, Console(quiet=True))

    def run(self, run_id: str, **parameters: Any) -> Ended:
        console = Console(record=True, width=400, file=io.StringIO())
        self.api.trigger(DAG_ID, run_id, {"bucket": BUCKET, **parameters})
        state = follow(self.api, DAG_ID, run_id, self.stack.children, console)
        layout = RunLayout(BUCKET, run_key(run_id))
        return Ended(
            state,
            read_json(self.s3, BUCKET, layout.report),
            layout,
            read_json(self.s3, BUCKET, LATEST_KEY),
            console.export_text(),
        )

    def clusters(self, *states: str) -> list[dict[str, Any]]:
        emr = self.stack.client("emr")
        pages = emr.get_paginator("list_clusters").paginate(
            **({"ClusterStates": list(states)} if states else {})
        )
        return [cluster for page in pages for cluster in page["Clusters"]]


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    state = tmp_path_factory.mktemp("system")
    stack = Stack(StackPlan(Paths(REPOSITORY, state, state / "out"), BUCKET, time_factor=60))
    stack.airflow.migrate()
    with running(stack):
        api = stack.start_airflow()
        s3 = stack.client("s3")
        local_account.create_bucket(s3, BUCKET, "eu-west-1")
        local_account.create_roles(stack.client("iam"), stack.deployment)
        api.wait_until_ready(DAG_ID)
        yield System(stack, api, s3)


@pytest.fixture
def corrupt_photos(tmp_path: Path) -> Path:
    """Twelve files that are named like photos and are none."""
    folder = tmp_path / "corrupt" / "Apple"
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(12):
        (folder / f"{number}.jpg").write_bytes(noise.bytes(500 * (number % 3)))
    return folder.parent


def save_photo(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(generated_photos.photo(generated_photos.FRUITS[seed % 16], seed)).save(path, "JPEG")


def processes_of(marker: str) -> list[str]:
    """Command lines of live processes whose environment or arguments name ``marker``."""
    listed = subprocess.run(["ps", "axeww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if marker in line and " ps " not in line]
