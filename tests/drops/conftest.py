"""A real Airflow that watches a queue: scheduler, triggerer and API, on local AWS; Spark is never started.

Everything is in a hurry: a look into the queue every second, a drop is over after eight quiet ones.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest

from local_aws.control import Control
from local_run import account
from local_run.airflow_server import AirflowApi, free_port
from local_run.processes import Child
from local_run.stack import Paths, Stack, running
from tests.conftest import REPOSITORY

BUCKET: Final = "fruits-drops"
PREFIX: Final = "Test/"
QUEUE: Final = "photos"
DROPS, FEATURES = "photo_drops", "fruit_features"
_SETTINGS: Final = {
    "FRUITS_DROP_POLL_SECONDS": "1",
    "FRUITS_DROP_QUIET_MINUTES": "0.14",
    "FRUITS_MONTHLY_BUDGET_EUR": "0.01",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
}
_PATIENCE_SECONDS: Final = 300.0
"""What a dying triggerer had received comes again after two minutes."""
_ENDED: Final = ("success", "failed")


@dataclass
class System:
    """The running system, and what happens to it."""

    stack: Stack
    api: AirflowApi
    control: Control
    s3: Any
    sqs: Any

    def put(self, folder: str, count: int) -> None:
        for number in range(count):
            self.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}{folder}/{number}.jpg", Body=b"photo")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Newest last."""
        answer = self.api.call("GET", f"/dags/{dag_id}/dagRuns?order_by=id&limit=100")
        return list(answer.raise_for_status().json()["dag_runs"])

    def events(self, asset: str) -> list[dict[str, Any]]:
        """The asset's events, newest last."""
        found = self.api.call("GET", f"/assets?name_pattern={asset}").raise_for_status().json()["assets"]
        [asset_id] = [each["id"] for each in found if each["name"] == asset]
        answer = self.api.call("GET", f"/assets/events?asset_id={asset_id}&order_by=timestamp&limit=1000")
        return list(answer.raise_for_status().json()["asset_events"])

    def until(self, holds: Callable[[], Any], what: str, seconds: float = _PATIENCE_SECONDS) -> Any:
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            for child in self.stack.children:
                child.check()
            assert time.monotonic() < deadline, f"waited {seconds:.0f} s until {what}"
            time.sleep(0.2)
        return found

    def announced(self, runs: int) -> list[dict[str, Any]]:
        """Until fruit_features has so many runs, and all have ended; these."""

        def ended() -> list[dict[str, Any]]:
            found = self.runs(FEATURES)
            return found if len(found) >= runs and all(run["state"] in _ENDED for run in found) else []

        return list(self.until(ended, f"fruit_features has {runs} runs, and they have ended"))

    def until_idle(self) -> None:
        """Until no run is under way, and none will be made of what Airflow has heard."""

        def idle() -> bool:
            if any(run["state"] not in _ENDED for dag in (DROPS, FEATURES) for run in self.runs(dag)):
                return False
            heard = {"photo_events": DROPS, "photo_drop": FEATURES}
            newest = ((self.events(asset)[-1:], dag) for asset, dag in heard.items())
            return all(
                any(run["dag_id"] == dag for run in event["created_dagruns"])
                for events, dag in newest
                for event in events
            )

        self.until(idle, "nothing is under way")

    def child(self, component: str) -> Child:
        return next(child for child in reversed(self.stack.children) if child.name.endswith(component))

    def messages(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.stack.queue_url, AttributeNames=names)
        return sum(int(found["Attributes"][name]) for name in names)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    state = tmp_path_factory.mktemp("drops")
    paths = Paths(REPOSITORY, state, state / "out")
    stack = Stack(paths, free_port(), BUCKET, time_factor=200, settings=_SETTINGS, queue=QUEUE)
    stack.airflow.migrate()
    with running(stack):
        s3, sqs = stack.client("s3"), stack.client("sqs")
        account.create_bucket(s3, BUCKET, "eu-west-1")
        account.tell_queue(s3, sqs, BUCKET, PREFIX, stack.queue_url)
        account.create_roles(stack.client("iam"), stack.deployment)
        api = stack.start_airflow()
        api.wait_until_ready(FEATURES)
        api.wait_until_ready(DROPS)
        yield System(stack, api, Control(stack.aws["AWS_ENDPOINT_URL_EMR"]), s3, sqs)
