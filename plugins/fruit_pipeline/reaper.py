"""Find clusters that outlived their run, and end them.

Used by the DAG ``cluster_reaper`` and, when Airflow itself is gone, by ``python -m fruit_pipeline
reap``. Only clusters with this project's and this installation's tags are ever touched. A cluster
is reaped for one of three reasons: it is over age (its own tag ``max_hours`` says how old it may
get; the hard lifetime on its nodes should have ended it), its DAG run is not alive any more, or the
interactive time is over for which it was left to outlive its run (:mod:`fruit_pipeline.interactive`).
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from fruit_pipeline import interactive
from fruit_pipeline.identity import BILLABLE_STATES, PROJECT, creation_time, tags_of
from fruit_pipeline.parameters import LONGEST_HOURS
from fruit_pipeline.termination import terminate

log = logging.getLogger(__name__)

OVER_AGE_GRACE: Final = timedelta(minutes=10)
"""What a cluster may be older than ``max_hours``, for its lifetime counts only from its bootstrap."""

IsAlive = Callable[[str, str], bool]
"""Whether the DAG run of this dag_id and run_id is queued or running."""


@dataclass(frozen=True)
class Finding:
    """One cluster of this installation, and what the reaper thinks of it."""

    region: str
    cluster_id: str
    name: str
    state: str
    age: timedelta
    reason: str | None
    """Why it should not be there; None for one that should."""
    interactive_until: datetime | None = None

    def __str__(self) -> str:
        hours = self.age.total_seconds() / 3600
        what = f"{self.region} {self.cluster_id} {self.name} {self.state} {hours:.2f} h old"
        until = self.interactive_until
        stays = f"it is interactive until {until:%Y-%m-%d %H:%M %Z}" if until else "its run is alive"
        return f"{what}: {self.reason or stays}"


@dataclass
class Sweep:
    """What a sweep saw and did."""

    findings: list[Finding]
    terminated: list[str]
    failed: dict[str, str]
    """Cluster id or region, and the error that kept it from being looked at or ended."""

    def __str__(self) -> str:
        reaped = sum(finding.reason is not None for finding in self.findings)
        return (
            f"{len(self.findings)} clusters of this installation seen, {reaped} of them should not be there, "
            f"{len(self.terminated)} terminated, {len(self.failed)} errors"
        )


def reason_to_reap(
    cluster: dict[str, Any], now: datetime, is_alive: IsAlive | None, until: datetime | None = None
) -> str | None:
    """Why a cluster, as DescribeCluster shows it, should not be there; None where it should.

    Without ``is_alive`` runs do not count: nobody knows of them when Airflow is gone. ``until`` is the
    end of its interactive time, where it has one: before it the run need not be alive.
    """
    tags = tags_of(cluster)
    limit = timedelta(hours=_hours(tags.get("max_hours")))
    age = now - creation_time(cluster)
    if age > limit + OVER_AGE_GRACE:
        return f"it is older than its max_hours {limit.total_seconds() / 3600:g}"
    if until is not None:
        return f"its interactive time ended at {until:%Y-%m-%d %H:%M %Z}" if now >= until else None
    if is_alive is not None and not is_alive(tags.get("dag_id", ""), tags.get("run_id", "")):
        return f"its run {tags.get('run_id')!r} of {tags.get('dag_id')!r} is not alive"
    return None


def _hours(text: str | None) -> float:
    """A cluster whose tag was removed or spoilt may get as old as any run may ask for, and no older."""
    try:
        return min(float(text or LONGEST_HOURS), LONGEST_HOURS)
    except ValueError:
        return LONGEST_HOURS


def sweep(
    clients: Iterable[tuple[str, Any]],
    installation: str,
    now: datetime,
    is_alive: IsAlive | None,
    dry_run: bool,
    reap_all: bool = False,
) -> Sweep:
    """Look at every region's clusters and, unless ``dry_run``, end those that should not be there.

    ``clients`` are (region, EMR client). One region or cluster that fails does not keep the others
    from being reaped.
    """
    done = Sweep([], [], {})
    for region, emr in clients:
        try:
            clusters = list(_ours(emr, installation))
        except (ClientError, BotoCoreError) as error:
            done.failed[region] = str(error)
            log.warning("%s could not be looked at: %s", region, error)
            continue
        for cluster in clusters:
            until = _interactive_until(emr, cluster)
            reason = "all were asked for" if reap_all else reason_to_reap(cluster, now, is_alive, until)
            finding = Finding(
                region,
                cluster["Id"],
                cluster["Name"],
                cluster["Status"]["State"],
                now - creation_time(cluster),
                reason,
                until,
            )
            done.findings.append(finding)
            log.info("%s", finding)
            if reason and not dry_run:
                _reap(emr, cluster["Id"], done)
    return done


def _interactive_until(emr: Any, cluster: dict[str, Any]) -> datetime | None:
    """None, too, where EMR does not say: a cluster of which it is not sure that it may stay may not."""
    try:
        return interactive.until(emr, cluster)
    except (ClientError, BotoCoreError) as error:
        log.warning("The steps of %s could not be looked at: %s", cluster["Id"], error)
        return None


def _reap(emr: Any, cluster_id: str, done: Sweep) -> None:
    try:
        terminate(emr, cluster_id)
        done.terminated.append(cluster_id)
    except (ClientError, BotoCoreError) as error:
        done.failed[cluster_id] = str(error)
        log.exception("Cluster %s could not be terminated", cluster_id)


def _ours(emr: Any, installation: str) -> Iterator[dict[str, Any]]:
    """This installation's clusters that still cost money; their names do not matter, their tags do."""
    for page in emr.get_paginator("list_clusters").paginate(ClusterStates=list(BILLABLE_STATES)):
        for summary in page["Clusters"]:
            cluster = emr.describe_cluster(ClusterId=summary["Id"])["Cluster"]
            tags = tags_of(cluster)
            if tags.get("project") == PROJECT and tags.get("installation") == installation:
                yield cluster
