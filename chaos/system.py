"""The running system that scenarios are played on: local AWS in a hurry, and an Airflow quick to notice."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from chaos.driver import DAG_ID, PREFIX, REAPER_ID, Arena
from local_aws.control import Control
from local_run import account, images, upload
from local_run.airflow_server import free_port
from local_run.stack import Paths, Stack, running

BUCKET: Final = "fruits-chaos"
REGION: Final = "eu-west-1"
TIME_FACTOR: Final = 200.0
"""How much faster than EMR's clusters come and go."""
LIMIT_FACTOR: Final = 30.0
"""How much faster idle limits and lifetimes run out: 15 minutes of idleness last 30 s."""
PHOTOS: Final = 24
_QUICK_TO_NOTICE: Final = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}
"""Airflow finds out in seconds, not minutes, that one of its processes is gone."""
_KEEP_ALL: Final = {"FRUITS_KEEP_RUNS": "100"}
"""The first run's output is what later ones are said to have made."""
FEW_SECONDS: Final = {"FRUITS_TASK_MINUTES": "0.3"}
"""Tasks that take longer than 18 seconds are cut off."""


@contextlib.contextmanager
def arena() -> Iterator[Arena]:
    """Everything up, with photos in the bucket, and the reaper paused: it is one of the scenarios."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        repository = Path(__file__).resolve().parents[1]
        paths = Paths(repository, Path(folder), Path(folder) / "out")
        python_path = (repository / "plugins", repository / "chaos" / "policy")
        stack = Stack(
            paths,
            free_port(),
            BUCKET,
            TIME_FACTOR,
            limit_factor=LIMIT_FACTOR,
            settings={**_QUICK_TO_NOTICE, **_KEEP_ALL, "PYTHONPATH": os.pathsep.join(map(str, python_path))},
        )
        stack.airflow.migrate()
        with running(stack):
            api = stack.start_airflow()
            there = Arena(stack, api, Control(stack.aws["AWS_ENDPOINT_URL_EMR"]), BUCKET)
            account.create_bucket(there.s3, BUCKET, REGION)
            account.create_roles(stack.client("iam"), stack.deployment)
            photos = images.generate(paths.state / "images", PHOTOS)
            upload.mirror(there.s3, photos, BUCKET, PREFIX, Console(quiet=True))
            for dag_id in (DAG_ID, REAPER_ID):
                api.wait_until_ready(dag_id)
            api.call("PATCH", f"/dags/{REAPER_ID}", {"is_paused": True}).raise_for_status()
            yield there
