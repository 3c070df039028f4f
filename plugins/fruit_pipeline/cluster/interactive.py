"""How long a run's cluster stays for people after its work.

A cluster has as many minutes as its tag says, from the end of the run's last step on, and only if that
step succeeded. Nothing grants it and nothing can extend it: whoever looks reads the same from EMR, the
run's teardown, which then leaves the cluster, and the reaper, which ends it.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from fruit_pipeline.cluster.identity import REDUCE, tags_of

TAG: Final = "interactive_minutes"
APPLICATIONS: Final = ("JupyterHub", "TensorFlow")
"""EMR's applications for it, beside Spark."""


def until(emr: Any, cluster: Mapping[str, Any]) -> datetime | None:
    """When the interactive time of a cluster, as DescribeCluster shows it, is over; None where it has none.

    The first step of the run's last one's name counts: people may add steps of their own.
    """
    minutes = _minutes(tags_of(dict(cluster)).get(TAG))
    if minutes == 0:
        return None
    pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster["Id"], StepStates=["COMPLETED"])
    ends = [
        step["Status"]["Timeline"]["EndDateTime"]
        for page in pages
        for step in page["Steps"]
        if step["Name"] == REDUCE
    ]
    return min(ends) + timedelta(minutes=minutes) if ends else None


def _minutes(text: str | None) -> int:
    """A tag that was spoilt grants nothing."""
    return int(text) if text and text.isascii() and text.isdigit() else 0
