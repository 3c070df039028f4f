"""What EMR remembers of a scenario's clusters: how many are left, made twice, or outlived their run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from fruit_pipeline.cluster.identity import ENDED_STATES, creation_time, tags_of


@dataclass(frozen=True)
class Life:
    """The life of one cluster; ``ended`` is None while it costs money."""

    cluster_id: str
    run_key: str
    created: datetime
    ended: datetime | None

    def overlaps(self, other: "Life") -> bool:
        """Whether both were there at the same time."""
        first, second = sorted((self, other), key=lambda life: life.created)
        return first.ended is None or first.ended > second.created


def lives(emr: Any, known: Iterable[str] = ()) -> list[Life]:
    """Every cluster that EMR knows, without those already ``known``, oldest first."""
    skipped = set(known)
    summaries = (
        cluster for page in emr.get_paginator("list_clusters").paginate() for cluster in page["Clusters"]
    )
    unsorted = [_life(emr, summary["Id"]) for summary in summaries if summary["Id"] not in skipped]
    return sorted(unsorted, key=lambda life: life.created)


def _life(emr: Any, cluster_id: str) -> Life:
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    status = cluster["Status"]
    ended = status["Timeline"].get("EndDateTime") if status["State"] in ENDED_STATES else None
    return Life(cluster_id, tags_of(cluster).get("run_key", ""), creation_time(cluster), ended)


def duplicates(clusters: Iterable[Life]) -> int:
    """Pairs of clusters of one run that were there at the same time."""
    return sum(
        one.run_key == other.run_key and one.overlaps(other) for one, other in combinations(clusters, 2)
    )


def left(clusters: Iterable[Life]) -> int:
    return sum(life.ended is None for life in clusters)


def seconds_after(clusters: Iterable[Life], run_ended: datetime | None) -> float:
    """Cluster seconds spent after the end of the run, all clusters together."""
    if run_ended is None:
        return 0.0
    return sum(
        max(0.0, (life.ended - max(run_ended, life.created)).total_seconds())
        for life in clusters
        if life.ended is not None
    )
