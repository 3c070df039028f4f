"""Airflow plugin: the page of a run's result as a tab of the run, and the page of all runs.

Scheduler, workers and triggerer load it, too: only the API server asks for the app and its imports.
"""

from functools import cached_property
from typing import Any

from airflow.plugins_manager import AirflowPlugin

PREFIX = "/fruits"


class ResultPagesPlugin(AirflowPlugin):  # type: ignore[misc]
    name = "result_pages"
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

    @cached_property
    def fastapi_apps(self) -> list[Any]:
        """Made as the API server starts: whoever opens the first page does not wait for imports."""
        from fruit_pipeline.pages.app import create_app

        return [{"app": create_app(), "url_prefix": PREFIX, "name": "fruits"}]
