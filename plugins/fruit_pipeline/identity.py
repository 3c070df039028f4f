"""How a cluster is known to belong to a run: its name and tags, derived from dag_id and run_id.

RunJobFlow has no client token, so these tags are what keeps one run at one cluster.
"""

from collections.abc import Iterator
from typing import Any, Final

from fruit_contract.layout import run_key

PROJECT: Final = "fruit-features"
LIVE_STATES: Final = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING")
ENDED_STATES: Final = ("TERMINATED", "TERMINATED_WITH_ERRORS")


def cluster_name(dag_id: str, run_id: str) -> str:
    """At most 256 characters, as EMR allows."""
    return f"{dag_id}-{run_key(run_id)}"[:256]


def cluster_tags(dag_id: str, run_id: str) -> dict[str, str]:
    """Tags of the run's cluster. The last one lets EMR's v2 service role manage what it creates."""
    return {
        "project": PROJECT,
        "dag_id": dag_id,
        "run_key": run_key(run_id),
        "for-use-with-amazon-emr-managed-policies": "true",
    }


def clusters_of_run(emr: Any, dag_id: str, run_id: str) -> Iterator[dict[str, Any]]:
    """The run's clusters that have not ended, newest first, as DescribeCluster shows them.

    Names can be chosen by anyone and tags are not listed: the name narrows the list, the tags
    decide.
    """
    name = cluster_name(dag_id, run_id)
    wanted = cluster_tags(dag_id, run_id)
    for page in emr.get_paginator("list_clusters").paginate(ClusterStates=list(LIVE_STATES)):
        for summary in page["Clusters"]:
            if summary["Name"] != name:
                continue
            cluster = emr.describe_cluster(ClusterId=summary["Id"])["Cluster"]
            tags = {tag["Key"]: tag["Value"] for tag in cluster.get("Tags", [])}
            if wanted.items() <= tags.items():
                yield cluster
