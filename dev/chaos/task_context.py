"""As much of Airflow's task context as the operators need, to run them without an Airflow."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, Final

from fruit_contract.layout import DAG_ID

BUCKET: Final = "fruits-chaos"


class TaskInstance:
    """Has what other tasks returned, if it is not lost, and the state create_cluster is in."""

    def __init__(
        self, handed_on: Mapping[tuple[str, str], Any], create_state: str | None, try_number: int = 1
    ) -> None:
        self._handed_on, self._create_state, self.try_number = handed_on, create_state, try_number
        self.pushed: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = value

    def xcom_pull(self, task_ids: str, key: str = "return_value") -> Any:
        return self._handed_on.get((task_ids, key))

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        return {run_ids[0]: {"create_cluster": self._create_state}}


def context(
    run_id: str = "run-1",
    cluster_id: str | None = None,
    create_state: str | None = "success",
    try_number: int = 1,
    handed_on: Mapping[tuple[str, str], Any] | None = None,
    **params: Any,
) -> Any:
    """``handed_on`` has XComs by task and key, beside what create_cluster returned."""
    created = {("create_cluster", "return_value"): cluster_id}
    instance = TaskInstance({**created, **(handed_on or {})}, create_state, try_number)
    return {
        "dag": SimpleNamespace(dag_id=DAG_ID),
        "run_id": run_id,
        "params": {
            "bucket": BUCKET,
            "region": "eu-west-1",
            "max_start_minutes": 45.0,
            "max_step_hours": 2.0,
            **params,
        },
        "ti": instance,
        "task_instance": instance,
    }
