"""A local system whose Airflow is told of photos: what it has heard, and which runs it has made of that."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fruit_contract.layout import DAG_ID
from local_run import local_account
from local_run.airflow_server import AirflowApi, AirflowError
from local_run.local_stack import Stack, running
from local_run.pace import Pace

DROPS: Final = "photo_drops"
FEATURES: Final = DAG_ID
_PATIENCE_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.2
ENDED: Final = ("success", "failed")


@dataclass
class Watching:
    """The running system, and the questions that one asks it about drops."""

    stack: Stack
    api: AirflowApi
    s3: Any
    sqs: Any
    pace: Pace = field(default_factory=Pace, kw_only=True)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Newest last."""
        answer = self.api.call("GET", f"/dags/{dag_id}/dagRuns?order_by=id&limit=100")
        return list(answer.raise_for_status().json()["dag_runs"])

    def events(self, asset: str) -> list[dict[str, Any]]:
        """The asset's events, newest last."""
        assets = self.api.call("GET", f"/assets?name_pattern={asset}").raise_for_status().json()["assets"]
        [asset_id] = [each["id"] for each in assets if each["name"] == asset]
        answer = self.api.call("GET", f"/assets/events?asset_id={asset_id}&order_by=timestamp&limit=1000")
        return list(answer.raise_for_status().json()["asset_events"])

    def clusters(self) -> list[dict[str, Any]]:
        """All that there ever were."""
        pages = self.stack.client("emr").get_paginator("list_clusters").paginate()
        return [cluster for page in pages for cluster in page["Clusters"]]

    def until_started(self, runs: int) -> list[dict[str, Any]]:
        """Wait until fruit_features has so many runs; these, newest last."""

        def started() -> list[dict[str, Any]]:
            return under_way if len(under_way := self.runs(FEATURES)) >= runs else []

        return list(self.until(started, f"fruit_features has {runs} runs"))

    def until(self, holds: Callable[[], Any], what: str, seconds: float = _PATIENCE_SECONDS) -> Any:
        """Wait until ``holds`` returns something true, and return it.

        ``AirflowError`` after ``seconds`` (on quiet cores).
        """
        seconds = self.pace.seconds(seconds)
        deadline = time.monotonic() + seconds
        while not (answer := holds()):
            for child in self.stack.children:
                child.check()
            if time.monotonic() > deadline:
                raise AirflowError(
                    f"Waited {seconds:.0f} s in vain until {what}: see {self.stack.airflow.home / 'logs'}."
                )
            time.sleep(_POLL_SECONDS)
        return answer

    def until_heard(self, change: Callable[[], None]) -> None:
        """Make a change below the watched prefix, and wait until Airflow has heard of more than before."""
        before = len(self.events("photo_events"))
        change()
        self.until(lambda: len(self.events("photo_events")) > before, "Airflow has heard of the photos")

    def until_idle(self) -> None:
        """Until no run is under way, and none will be made of what Airflow has heard.

        Which run an event has started does not tell: Airflow 3.3.2 counts as consumed what came until the
        first event that waits, and forgets that others wait with it. The drop's sensor sees them all.
        """

        def idle() -> bool:
            # Twice, for a run may be made of what waits between the first question and the second.
            return not self._under_way() and not self._waiting() and not self._under_way()

        self.until(idle, "nothing is under way")

    def _under_way(self) -> bool:
        return any(run["state"] not in ENDED for dag in (DROPS, FEATURES) for run in self.runs(dag))

    def _waiting(self) -> bool:
        """Whether Airflow has yet to make a run of an event."""
        answers = [self.api.call("GET", f"/dags/{dag}/assets/queuedEvents") for dag in (DROPS, FEATURES)]
        return any(answer.raise_for_status().json()["total_entries"] for answer in answers)


@contextlib.contextmanager
def watching(stack: Stack, prefix: str, pace: Pace | None = None) -> Iterator[Watching]:
    """The stack with everything up, and its queue told of what happens below ``prefix``; down afterwards."""
    stack.airflow.migrate()
    with running(stack):
        s3, sqs, bucket = stack.client("s3"), stack.client("sqs"), stack.deployment.bucket
        local_account.create_bucket(s3, bucket, stack.aws["AWS_DEFAULT_REGION"])
        local_account.tell_queue(s3, sqs, bucket, prefix, stack.queue_url)
        local_account.create_roles(stack.client("iam"), stack.deployment)
        api = stack.start_airflow()
        for dag_id in (FEATURES, DROPS):
            api.wait_until_ready(dag_id)
        yield Watching(stack, api, s3, sqs, pace=pace or Pace())
