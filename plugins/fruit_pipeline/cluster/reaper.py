"""Find clusters that outlived their run, and end them.

Used by the DAG ``cluster_reaper`` and, when Airflow itself is gone, by ``python -m fruit_pipeline
reap``. Only clusters with this project's and this installation's tags are ever touched. A cluster
is reaped for one of three reasons: it is over age (its own tag ``max_hours`` says how old it may
get; the hard lifetime on its nodes should have ended it), its DAG run is not alive any more, or the
interactive time is over for which it was left to outlive its run (:mod:`fruit_pipeline.cluster.interactive`).
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from fruit_pipeline.cluster import interactive
from fruit_pipeline.cluster.identity import BILLABLE_STATES, creation_time, tags_of
from fruit_pipeline.cluster.termination import terminate
from fruit_pipeline.security.regions import OPT_IN_REGIONS
from fruit_pipeline.settings.deployment import PROJECT
from fruit_pipeline.settings.parameters import LONGEST_HOURS

log = logging.getLogger(__name__)

OVER_AGE_GRACE: Final = timedelta(minutes=10)
"""What a cluster may be older than ``max_hours``, for its lifetime counts from the start of its nodes."""

_NOT_ENABLED: Final = frozenset(
    {"AuthFailure", "InvalidClientTokenId", "OptInRequired", "UnrecognizedClientException"}
)
"""What a region that the account has not switched on answers. It says the same to wrong credentials: believed
only of an opt-in region, and only while another region takes the credentials."""

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
    not_enabled: dict[str, str]
    """Opt-in regions that the account has not switched on, where no cluster can be, and their answer."""

    @property
    def orphans(self) -> list[Finding]:
        """What was ended, but for clusters that people had been left for a time that is over."""
        ended = [finding for finding in self.findings if finding.cluster_id in self.terminated]
        return [finding for finding in ended if finding.interactive_until is None]

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

    def reason_of(cluster: dict[str, Any], until: datetime | None) -> str | None:
        return "all were asked for" if reap_all else reason_to_reap(cluster, now, is_alive, until)

    done, answered = Sweep([], [], {}, {}), False
    for region, emr in clients:
        try:
            for cluster_id in _that_cost_money(emr):
                answered = True
                try:
                    finding = _look_at(region, emr, cluster_id, installation, now, reason_of)
                    if finding is None:
                        continue
                    done.findings.append(finding)
                    if finding.reason and not dry_run:
                        terminate(emr, cluster_id)
                        done.terminated.append(cluster_id)
                except Exception as error:  # whatever it was, the next one is judged all the same
                    done.failed[cluster_id] = str(error)
                    log.exception("Cluster %s could not be judged or ended", cluster_id)
            answered = True
        except ClientError as error:
            where = done.not_enabled if _is_not_enabled(region, error) else done.failed
            where[region] = str(error)
        except BotoCoreError as error:
            done.failed[region] = str(error)
    if not answered:
        done.failed |= done.not_enabled
        done.not_enabled.clear()
    for region, why in done.not_enabled.items():
        log.info("%s is not switched on in this account, so nothing can be there: %s", region, why)
    for what, why in done.failed.items():
        log.warning("%s could not be looked at or ended: %s", what, why)
    return done


def _is_not_enabled(region: str, error: ClientError) -> bool:
    return region in OPT_IN_REGIONS and error.response["Error"]["Code"] in _NOT_ENABLED


def _that_cost_money(emr: Any) -> Iterator[str]:
    """Ids of everybody's clusters that still cost money."""
    for page in emr.get_paginator("list_clusters").paginate(ClusterStates=list(BILLABLE_STATES)):
        yield from (summary["Id"] for summary in page["Clusters"])


def _look_at(
    region: str,
    emr: Any,
    cluster_id: str,
    installation: str,
    now: datetime,
    reason_of: Callable[[dict[str, Any], datetime | None], str | None],
) -> Finding | None:
    """What is found of one cluster; None for somebody else's. Its name does not matter, its tags do."""
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    tags = tags_of(cluster)
    if tags.get("project") != PROJECT or tags.get("installation") != installation:
        return None
    until = _interactive_until(emr, cluster)
    finding = Finding(
        region,
        cluster_id,
        cluster["Name"],
        cluster["Status"]["State"],
        now - creation_time(cluster),
        reason_of(cluster, until),
        until,
    )
    log.info("%s", finding)
    return finding


def _interactive_until(emr: Any, cluster: dict[str, Any]) -> datetime | None:
    """None, too, where EMR does not say: a cluster of which it is not sure that it may stay may not."""
    try:
        return interactive.until(emr, cluster)
    except (ClientError, BotoCoreError) as error:
        log.warning("The steps of %s could not be looked at: %s", cluster["Id"], error)
        return None
