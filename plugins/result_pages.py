"""Airflow plugin: the page of a run's result as a tab of the run, and the page of all runs.

Scheduler, workers and triggerer load it, too: the app and what it imports are made when the API server
is asked for the first page.
"""

from functools import cache
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/fruits"


@cache
def _app() -> Any:
    from fruit_pipeline.pages.app import create_app

    return create_app()


async def pages(scope: Any, receive: Any, send: Any) -> None:
    """The app as ASGI has it."""
    await _app()(scope, receive, send)


class ResultPagesPlugin(AirflowPlugin):  # type: ignore[misc]
    name = "result_pages"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "fruits"}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Result",
            "href": f"{PREFIX}/result?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "result",
        },
        {
            "name": "Runs and results",
            "href": f"{PREFIX}/runs",
            "destination": "dag",
            "url_route": "fruit-runs",
        },
        {
            "name": "Fruit runs",
            "href": f"{PREFIX}/runs",
            "destination": "nav",
            "url_route": "fruits",
        },
    ]
