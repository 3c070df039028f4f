"""A real Airflow that watches a queue: scheduler, triggerer and API, on local AWS; Spark is never started.

Everything is in a hurry: a look into the queue every second, a drop is over after eight quiet ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from local_aws.control import Control
from local_run.airflow_server import free_port
from local_run.processes import Child
from local_run.stack import Paths, Stack
from local_run.watching import FEATURES, Watching, watching
from tests.conftest import REPOSITORY

BUCKET: Final = "fruits-drops"
PREFIX: Final = "Test/"
QUEUE: Final = "photos"
_SETTINGS: Final = {
    "FRUITS_DROP_POLL_SECONDS": "1",
    "FRUITS_DROP_QUIET_MINUTES": "0.14",
    "FRUITS_MONTHLY_BUDGET_EUR": "0.01",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}
_ENDED: Final = ("success", "failed")


@dataclass
class System(Watching):
    """The running system, and what happens to it."""

    control: Control

    def put(self, folder: str, count: int) -> None:
        for number in range(count):
            self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}{folder}/{number}.jpg", Body=b"photo")

    def announced(self, runs: int) -> list[dict[str, Any]]:
        """Until fruit_features has so many runs, and all have ended; these."""

        def ended() -> list[dict[str, Any]]:
            found = self.runs(FEATURES)
            return found if len(found) >= runs and all(run["state"] in _ENDED for run in found) else []

        return list(self.until(ended, f"fruit_features has {runs} runs, and they have ended"))

    def child(self, component: str) -> Child:
        return next(child for child in reversed(self.stack.children) if child.name.endswith(component))

    def messages(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.stack.queue_url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    state = tmp_path_factory.mktemp("drops")
    paths = Paths(REPOSITORY, state, state / "out")
    stack = Stack(paths, free_port(), BUCKET, time_factor=200, settings=_SETTINGS, queue=QUEUE)
    stack.airflow.migrate()
    with watching(stack, PREFIX) as up:
        control = Control(stack.aws["AWS_ENDPOINT_URL_EMR"])
        yield System(up.stack, up.api, up.s3, up.sqs, control)
