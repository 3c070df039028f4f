"""End clusters and confirm it: the same calls for the teardown, the reaper and the command line."""

import logging
import time
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fruit_pipeline.cluster.identity import ENDED_STATES

log = logging.getLogger(__name__)


def terminate(emr: Any, cluster_id: str) -> None:
    """Ask EMR to end one cluster, whatever protects it; an ended one is left alone."""
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    if cluster["Status"]["State"] in ENDED_STATES:
        return
    if cluster.get("TerminationProtected"):
        log.warning("Cluster %s is protected from termination: lifting the protection", cluster_id)
        emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    log.info("Asked EMR to terminate cluster %s", cluster_id)


def terminate_and_wait(emr: Any, cluster_ids: Iterable[str], poll_seconds: float) -> None:
    """End every cluster, all before waiting for any, and return when EMR says that they have ended.

    One that cannot be asked does not keep the others from being asked; its error is raised after that.
    """
    ids = sorted(set(cluster_ids))
    errors: list[Exception] = []
    for cluster_id in ids:
        try:
            terminate(emr, cluster_id)
        except (ClientError, BotoCoreError) as error:
            log.warning("Cluster %s could not be asked to end: %s", cluster_id, error)
            errors.append(error)
    if errors:
        raise errors[0]
    for cluster_id in ids:
        while (state := _state(emr, cluster_id)) not in ENDED_STATES:
            log.info("Cluster %s is %s", cluster_id, state)
            time.sleep(poll_seconds)
        log.info("Cluster %s is %s", cluster_id, state)


def _state(emr: Any, cluster_id: str) -> str:
    return str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])
