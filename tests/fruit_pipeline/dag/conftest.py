"""A task's view of its run: Airflow's context, with what the tasks before it have returned."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.api.datamodels._generated import DagRunType

from fruit_pipeline.dag import run_context

InTask = Callable[..., None]


@pytest.fixture
def in_task(monkeypatch: pytest.MonkeyPatch) -> InTask:
    """Call it with the run's parameters, and what other tasks returned by their ids."""

    def enter(
        params: dict[str, Any],
        run_id: str = "run-1",
        run_type: DagRunType = DagRunType.MANUAL,
        **returned: Any,
    ) -> None:
        context = {
            "params": params,
            "run_id": run_id,
            "dag": SimpleNamespace(dag_id="fruit_features"),
            "dag_run": SimpleNamespace(run_type=run_type, run_after=datetime.now(UTC)),
            "ti": SimpleNamespace(
                xcom_pull=lambda task_ids, **_: returned.get(task_ids), xcom_push=lambda *_: None
            ),
        }
        monkeypatch.setattr(run_context, "get_current_context", lambda: context)

    return enter
