"""How long a run's cluster stays for people after its work.

A cluster has as many minutes as its tag says, from the end of the run's last step on, and only if that
step succeeded. Nothing grants it and nothing can extend it: whoever looks reads the same from EMR, the
run's teardown, which then leaves the cluster, and the reaper, which ends it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from fruit_contract.classifier import NO_CLASSIFIER
from fruit_pipeline.cluster.identity import REDUCE, TRAIN, tags_of
from fruit_pipeline.settings.parameters import RunParameters

TAG: Final = "interactive_minutes"
LAST_STEP: Final = "last_step"
"""The tag that names the step whose success begins the time."""
APPLICATIONS: Final = ("JupyterHub", "TensorFlow")
"""EMR's applications for it, beside Spark. JupyterHub brings Livy, by which its PySpark kernel reaches it."""


def tags(parameters: RunParameters) -> dict[str, str]:
    """What a run's cluster says of its interactive time; nothing where it has none."""
    if not parameters.interactive_minutes:
        return {}
    last = REDUCE if parameters.classifier == NO_CLASSIFIER else TRAIN
    return {TAG: str(parameters.interactive_minutes), LAST_STEP: last}


def configurations(parameters: RunParameters) -> dict[str, dict[str, str]]:
    """EMR's settings of JupyterHub and Livy by classification; nothing without interactive time.

    JupyterHub keeps notebooks in the bucket below ``jupyter/``, one folder a user. Livy starts the driver
    on a worker, as the steps do: on the primary node it would find no archive of the session.
    """
    if not parameters.interactive_minutes:
        return {}
    return {
        "jupyter-s3-conf": {"s3.persistence.enabled": "true", "s3.persistence.bucket": parameters.bucket},
        "livy-conf": {"livy.spark.deploy-mode": "cluster"},
    }


def until(emr: Any, cluster: Mapping[str, Any]) -> datetime | None:
    """When the interactive time of a cluster, as DescribeCluster shows it, is over; None where it has none.

    The first step of the run's last one's name counts: people may add steps of their own.
    """
    said = tags_of(dict(cluster))
    minutes, last = _minutes(said.get(TAG)), said.get(LAST_STEP)
    if minutes == 0:
        return None
    pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster["Id"], StepStates=["COMPLETED"])
    ends = [
        step["Status"]["Timeline"]["EndDateTime"]
        for page in pages
        for step in page["Steps"]
        if step["Name"] == last
    ]
    return min(ends) + timedelta(minutes=minutes) if ends else None


def _minutes(text: str | None) -> int:
    """A tag that was spoilt grants nothing."""
    return int(text) if text and text.isascii() and text.isdigit() else 0
