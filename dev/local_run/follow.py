"""A DAG run as it goes: a line when a task starts or ends, and how far the step is that runs."""

import time
from collections.abc import Callable
from typing import Any, Final

from rich.console import Console

from fruit_contract.progress import Progress
from local_run.airflow_server import AirflowApi
from local_run.processes import Child
from local_run.progress_bar import ProgressBar

_POLL_SECONDS: Final = 1.0
_TELLING: Final = "wait_for_featurize"
_ENDED: Final = {"success", "failed", "upstream_failed", "skipped", "removed"}
_STYLES: Final = {"success": "green", "failed": "bold red", "upstream_failed": "dim", "skipped": "dim"}


def follow(
    api: AirflowApi,
    dag_id: str,
    run_id: str,
    children: list[Child],
    console: Console,
    progress: Callable[[], Progress | None] = lambda: None,
    meanwhile: Callable[[], None] = lambda: None,
) -> str:
    """Print the tasks until the run has ended; return its state. Raises when a component dies.

    ``progress`` is asked for while the task waits whose step tells it. ``meanwhile`` is called between two
    looks.
    """
    seen: dict[str, str] = {}
    with ProgressBar(console) as bar:
        while True:
            for child in children:
                child.check()
            state = api.run_state(dag_id, run_id)
            for task in sorted(api.task_instances(dag_id, run_id), key=lambda ti: ti["start_date"] or "9"):
                _show_change(task, seen, console)
            bar.show(progress() if seen.get(_TELLING) == "running" else None)
            if state in ("success", "failed"):
                break
            meanwhile()
            time.sleep(_POLL_SECONDS)
    _show_failures(api, dag_id, run_id, console)
    return state


def _show_change(task: dict[str, Any], seen: dict[str, str], console: Console) -> None:
    name, state = task["task_id"], task["state"]
    if not state or seen.get(name) == state:
        return
    if state == "running" and name not in seen:
        console.print(f"  [cyan]>[/] {name}")
        seen[name] = state
    elif state in _ENDED or state == "up_for_retry":
        seconds = f"{task['duration']:6.1f} s" if task["duration"] is not None else "        "
        console.print(f"    {seconds}  {name}: [{_STYLES.get(state, 'yellow')}]{state.replace('_', ' ')}[/]")
        seen[name] = state


def _show_failures(api: AirflowApi, dag_id: str, run_id: str, console: Console) -> None:
    """The error of each task that failed, as its own log has it."""
    for task in api.task_instances(dag_id, run_id):
        if task["state"] != "failed":
            continue
        for sentence in _errors(api.log(dag_id, run_id, task["task_id"], task["try_number"])):
            console.print(f"  [bold red]{task['task_id']}[/]: {sentence}", highlight=False)


def _errors(entries: list[dict[str, Any]]) -> list[str]:
    """The exceptions of a task's log, each once, in words."""
    found = [
        detail["exc_value"]
        for entry in entries
        for detail in entry.get("error_detail") or []
        if detail.get("exc_value")
    ]
    return list(dict.fromkeys(found))
