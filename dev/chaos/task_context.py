"""As much of Airflow's task context as the operators need, to run them without an Airflow."""

from types import SimpleNamespace
from typing import Any, Final

from fruit_contract.layout import DAG_ID

BUCKET: Final = "fruits-chaos"


class TaskInstance:
    """Has what create_cluster returned, if it is not lost, and the state create_cluster is in."""

    def __init__(self, cluster_id: str | None, create_state: str | None, try_number: int = 1) -> None:
        self._cluster_id, self._create_state, self.try_number = cluster_id, create_state, try_number

    def xcom_push(self, **_: Any) -> None: ...

    def xcom_pull(self, task_ids: str, **_: Any) -> str | None:
        return self._cluster_id if task_ids == "create_cluster" else None

    def get_task_states(self, dag_id: str, run_ids: list[str]) -> dict[str, Any]:
        return {run_ids[0]: {"create_cluster": self._create_state}}


def context(
    run_id: str = "run-1",
    cluster_id: str | None = None,
    create_state: str | None = "success",
    try_number: int = 1,
    **params: Any,
) -> Any:
    instance = TaskInstance(cluster_id, create_state, try_number)
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
