"""A run whose cluster was lost to Spot gets one more, on demand, for what is left of its time.

Both together live no longer than one may, so the second one adds little to the worst case of the run. It is
found again by its tag, so that whoever looks, however often, finds the same one.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from fruit_pipeline.cluster.identity import (
    ALL_STATES,
    BILLABLE_STATES,
    clusters_of_run,
    creation_time,
    tags_of,
)
from fruit_pipeline.cost.speeds import END_SECONDS, START_SECONDS, STEP_SECONDS
from fruit_pipeline.settings.parameters import RunParameters

TAG: Final = "in_place_of"
"""The second cluster's, with the id of the first."""
NO_CAPACITY: Final = "INSTANCE_FLEET_TIMEOUT"
INSTANCE_LOST: Final = "INSTANCE_FAILURE"
_OTHER_ENDS: Final = (
    "ALL_STEPS_COMPLETED",
    "BOOTSTRAP_FAILURE",
    "STEP_FAILURE",
    "USER_REQUEST",
    "VALIDATION_ERROR",
)
"""Codes of ``StateChangeReason``, of a cluster and of an instance: API reference."""
_LEAST_HOURS: Final = (START_SECONDS + STEP_SECONDS + END_SECONDS) / 3600
"""With less, a second cluster would end before it has done anything."""


def is_of_no_use(cluster: Mapping[str, Any], *, step_failed: bool = False) -> bool:
    """Whether another cluster may have to take the place of this one, as DescribeCluster shows it.

    ``step_failed`` is of a step on a cluster that lives: with a worker that Spot has taken, its driver may
    have gone. One that is in place of another is never replaced itself.
    """
    lives = cluster["Status"]["State"] in BILLABLE_STATES
    return (step_failed or not lives) and TAG not in tags_of(dict(cluster))


def was_taken(emr: Any, cluster: Mapping[str, Any], failed_step_since: datetime | None = None) -> bool:
    """Whether Spot is the reason: it had no capacity, or took a node, and nobody ended the cluster.

    ``failed_step_since`` is when a step began that has failed by itself, before its cluster ended: then the
    nodes count that were lost since, whoever has ended the cluster after that.
    """
    reason = cluster["Status"].get("StateChangeReason", {})
    code = reason.get("Code")
    if code == NO_CAPACITY or (code == INSTANCE_LOST and "spot" in reason.get("Message", "").lower()):
        return True
    if code in _OTHER_ENDS and failed_step_since is None:
        return False
    return any(
        _is_lost(instance, failed_step_since)
        for page in emr.get_paginator("list_instances").paginate(ClusterId=cluster["Id"])
        for instance in page["Instances"]
    )


def _is_lost(instance: Mapping[str, Any], since: datetime | None) -> bool:
    status = instance["Status"]
    if instance.get("Market") != "SPOT" or status.get("StateChangeReason", {}).get("Code") != INSTANCE_LOST:
        return False
    ended: datetime | None = status.get("Timeline", {}).get("EndDateTime")
    return since is None or ended is None or ended >= since


def for_the_rest(
    parameters: RunParameters, cluster: Mapping[str, Any], now: datetime
) -> RunParameters | None:
    """The run's parameters for the second cluster; None where too little of ``max_hours`` is left.

    Nodes that shut themselves down at their hard lifetime look as if they were lost: nothing is left then.
    """
    hours = parameters.max_hours - (now - creation_time(dict(cluster))).total_seconds() / 3600
    if hours < _LEAST_HOURS:
        return None
    return parameters.model_copy(
        update={"spot": "on-demand", "primary_market": "as-workers", "max_hours": hours}
    )


def second_clusters(
    emr: Any, installation: str, dag_id: str, run_id: str, lost: Mapping[str, Any]
) -> list[str]:
    """The ids of what came in place of a cluster, ended or not, oldest first: one, or two that raced.

    So does any other cluster of the run that lives: a person who cleared a task has had it made.
    """
    since = creation_time(dict(lost))
    others = [
        cluster
        for cluster in clusters_of_run(emr, installation, dag_id, run_id, ALL_STATES, since)
        if cluster["Id"] != lost["Id"]
        and (tags_of(cluster).get(TAG) == lost["Id"] or cluster["Status"]["State"] in BILLABLE_STATES)
    ]
    return [str(cluster["Id"]) for cluster in sorted(others, key=creation_time)]
