"""A DAG run as it goes: one line when a task starts, one when it ends."""

import time
from typing import Any, Final

from rich.console import Console

from local_run.airflow_server import AirflowApi
from local_run.processes import Child

_POLL_SECONDS: Final = 0.5
_ENDED: Final = {"success", "failed", "upstream_failed", "skipped", "removed"}
_STYLES: Final = {"success": "green", "failed": "bold red", "upstream_failed": "dim", "skipped": "dim"}


def follow(api: AirflowApi, dag_id: str, run_id: str, children: list[Child], console: Console) -> str:
    """Print the tasks until the run has ended; return its state. Raises when a component dies."""
    seen: dict[str, str] = {}
    while True:
        for child in children:
            child.check()
        state = api.run_state(dag_id, run_id)
        for task in sorted(api.task_instances(dag_id, run_id), key=lambda ti: ti["start_date"] or "9"):
            _show_change(task, seen, console)
        if state in ("success", "failed"):
            _show_failures(api, dag_id, run_id, console)
            return state
        time.sleep(_POLL_SECONDS)


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
