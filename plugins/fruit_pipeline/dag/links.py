"""What a waiting task's page links to: the step's log, and Spark's history server.

The task computes both when it begins to wait and whenever it wakes. Airflow stores them with the task, so
its API server asks AWS nothing. On local AWS the log is a page of local AWS itself.
"""

from typing import Any, Final
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink

from fruit_contract.layout import LOGS_PREFIX
from fruit_pipeline.security.regions import is_loopback

CONSOLE: Final = "https://console.aws.amazon.com"


def step_log(endpoint: str, region: str, bucket: str, cluster_id: str, step_id: str) -> str:
    """The page of S3's console with the log files of a step, which EMR refreshes every five minutes or so.

    ``endpoint`` is EMR's. The provider's own link takes the logs' folder for a part of the bucket's name.
    """
    prefix = quote(f"{LOGS_PREFIX}{cluster_id}/steps/{step_id}/")
    console = endpoint if _is_local(endpoint) else CONSOLE
    return f"{console}/s3/buckets/{bucket}?region={region}&prefix={prefix}"


def history_server(endpoint: str, region: str, cluster_id: str) -> str:
    """The cluster's page in EMR's console, whose summary opens the history server; empty on local AWS.

    There is no address of the history server itself: EMR signs one for each visitor, for an hour.
    """
    return "" if _is_local(endpoint) else f"{CONSOLE}/emr/home?region={region}#/clusterDetails/{cluster_id}"


def _is_local(endpoint: str) -> bool:
    return is_loopback(urlsplit(endpoint).hostname or "")


class StepLogLink(BaseOperatorLink):
    """Asks a ``StepSensor`` where it waits."""

    name = "Step log"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        emr = operator.hook.conn.meta
        return step_log(
            emr.endpoint_url, emr.region_name, operator.log_bucket, operator.job_flow_id, operator.step_id
        )


class HistoryServerLink(BaseOperatorLink):
    """Asks any sensor that waits for a cluster or on one."""

    name = "Spark history server"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        emr = operator.hook.conn.meta
        return history_server(emr.endpoint_url, emr.region_name, operator.job_flow_id)
