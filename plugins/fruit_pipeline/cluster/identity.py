"""A cluster's name and tags, by which its run finds it; derived from dag_id and run_id.

RunJobFlow has no client token, so these tags are what keeps one run at one cluster, and what tells
the reaper a cluster of this installation from anybody else's.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from fruit_contract.layout import run_key
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.deployment import PROJECT

FEATURIZE: Final = "featurize"
REDUCE: Final = "reduce"
TRAIN: Final = "train"
STEPS: Final = (FEATURIZE, REDUCE, TRAIN)
"""The names of the run's steps, in their order."""
BILLABLE_STATES: Final = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
LIVE_STATES: Final = (*BILLABLE_STATES, "TERMINATING")
ENDED_STATES: Final = ("TERMINATED", "TERMINATED_WITH_ERRORS")
ALL_STATES: Final = (*LIVE_STATES, *ENDED_STATES)
_TAG_VALUE: Final = re.compile(r"[\w\s.:/=+@-]{1,256}")
"""https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-plan-tags-restrictions.html"""


class RunIdError(PipelineError):
    """The run's id cannot be a tag of its cluster; the message says what to do."""


def check_run_id(run_id: str) -> None:
    """Airflow's default pattern allows ``~`` in the id of a triggered run; EMR's tags do not."""
    if not _TAG_VALUE.fullmatch(run_id):
        raise RunIdError(
            f"Run id {run_id!r} cannot be a tag of the run's cluster: trigger a run whose id has at most 256 "
            "letters, digits, spaces and _ . : / = + - @."
        )


def cluster_name(dag_id: str, run_id: str) -> str:
    """At most 256 characters, as EMR allows."""
    return f"{dag_id}-{run_key(run_id)}"[:256]


def cluster_tags(installation: str, dag_id: str, run_id: str) -> dict[str, str]:
    """Tags of the run's cluster. The last one lets EMR's v2 service role manage what it creates."""
    return {
        "project": PROJECT,
        "installation": installation,
        "dag_id": dag_id,
        "run_id": run_id,
        "run_key": run_key(run_id),
        "for-use-with-amazon-emr-managed-policies": "true",
    }


def tags_of(cluster: dict[str, Any]) -> dict[str, str]:
    """The tags of a cluster as DescribeCluster shows it."""
    return {tag["Key"]: tag.get("Value", "") for tag in cluster.get("Tags", [])}


def creation_time(cluster: dict[str, Any]) -> datetime:
    """When RunJobFlow was answered, for a cluster as ListClusters or DescribeCluster shows it."""
    created: datetime = cluster["Status"]["Timeline"]["CreationDateTime"]
    return created


def clusters_of_run(
    emr: Any,
    installation: str,
    dag_id: str,
    run_id: str,
    states: Sequence[str] = LIVE_STATES,
    since: datetime | None = None,
) -> Iterator[dict[str, Any]]:
    """The run's clusters in ``states`` made ``since`` then, newest first, as DescribeCluster shows them.

    Names can be chosen by anyone and tags are not listed: the name narrows the list, the tags
    decide. EMR lists a cluster for two months after its end.
    """
    name = cluster_name(dag_id, run_id)
    wanted = cluster_tags(installation, dag_id, run_id)
    asked: dict[str, Any] = {"ClusterStates": list(states)} | ({"CreatedAfter": since} if since else {})
    for page in emr.get_paginator("list_clusters").paginate(**asked):
        for summary in page["Clusters"]:
            if summary["Name"] != name:
                continue
            cluster = emr.describe_cluster(ClusterId=summary["Id"])["Cluster"]
            if wanted.items() <= tags_of(cluster).items():
                yield cluster
