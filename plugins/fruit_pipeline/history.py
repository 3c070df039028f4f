"""Every cluster that a run has had, the ended ones too, as EMR remembers them.

What a run costs is the sum of them: a retry, a cleared task or an answer that was lost can leave one
that Airflow no longer knows of.
"""

from datetime import datetime, timedelta
from typing import Any, Final

from fruit_contract.report import ClusterFacts
from fruit_pipeline.identity import ALL_STATES, clusters_of_run
from fruit_pipeline.reporting import cluster_facts

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
