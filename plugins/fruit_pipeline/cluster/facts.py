"""Every cluster of a run, ended ones too, as EMR remembers them.

What a run costs is the sum of them: a retry, a cleared task or an answer that was lost can leave one
that Airflow no longer knows of.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from fruit_contract.report_schema import ClusterFacts
from fruit_pipeline.cluster import interactive
from fruit_pipeline.cluster.identity import ALL_STATES, clusters_of_run

_CLOCKS_DIFFER: Final = timedelta(hours=1)
"""How far Airflow's clock may be ahead of EMR's, at most."""


def clusters_so_far(
    emr: Any, installation: str, dag_id: str, run_id: str, run_after: datetime, known: str | None = None
) -> list[ClusterFacts]:
    """The run's clusters, oldest first. ``known`` is the id that Airflow has of one of them, if any.

    ``run_after`` is when the run could begin: Airflow leaves it as it is when a run is cleared.
    """
    since = run_after - _CLOCKS_DIFFER
    newest_first = [
        str(cluster["Id"])
        for cluster in clusters_of_run(emr, installation, dag_id, run_id, ALL_STATES, since)
    ]
    if known and known not in newest_first:
        newest_first.insert(0, known)
    return [cluster_facts(emr, cluster_id) for cluster_id in reversed(newest_first)]


def cluster_facts(emr: Any, cluster_id: str) -> ClusterFacts:
    """A cluster as EMR remembers it, with the life of each instance."""
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    created, ready, ended = _timeline(cluster["Status"].get("Timeline", {}))
    until = interactive.until(emr, cluster)
    instances = [
        {
            "id": instance["Id"],
            "type": instance["InstanceType"],
            "market": instance["Market"],
            **_life(instance["Status"].get("Timeline", {})),
        }
        for page in emr.get_paginator("list_instances").paginate(ClusterId=cluster_id)
        for instance in page["Instances"]
    ]
    return ClusterFacts(
        id=cluster_id,
        release=cluster.get("ReleaseLabel"),
        final_state=cluster["Status"]["State"],
        created=created.isoformat() if created else None,
        ready=ready.isoformat() if ready else None,
        ended=ended.isoformat() if ended else None,
        interactive_until=until.isoformat() if until and not ended else None,
        instances=instances,
    )


def cluster_steps(emr: Any, cluster_id: str | None) -> list[dict[str, Any]]:
    """EMR's summaries of the cluster's steps; none where there is no cluster."""
    if not cluster_id:
        return []
    pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    return [step for page in pages for step in page["Steps"]]


def _timeline(timeline: Mapping[str, datetime]) -> tuple[datetime | None, datetime | None, datetime | None]:
    created, ready, ended = (timeline.get(f"{name}DateTime") for name in ("Creation", "Ready", "End"))
    return created, ready, ended


def _life(timeline: Mapping[str, datetime]) -> dict[str, str | float | None]:
    """When an instance was created, ready and gone, as ISO 8601, and its hours when it has ended."""
    created, ready, ended = _timeline(timeline)
    return {
        "created": created.isoformat() if created else None,
        "ready": ready.isoformat() if ready else None,
        "ended": ended.isoformat() if ended else None,
        "hours": (ended - created).total_seconds() / 3600 if created and ended else None,
    }
