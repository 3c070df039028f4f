"""report.json: what a run did, how long it took, what it kept and what it cost, failed runs too."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from fruit_contract.report import (
    ClusterFacts,
    Cost,
    Encryption,
    FeaturizeMetrics,
    ImageCounts,
    ReduceMetrics,
    Report,
    TaskTime,
)
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.redaction import redacted

_FAILED: Final = ("failed", "upstream_failed")


def build_report(
    *,
    run_id: str,
    started_at: datetime,
    parameters: Mapping[str, Any],
    tasks: list[TaskTime],
    found: int | None,
    featurized: FeaturizeMetrics | None,
    reduced: ReduceMetrics | None,
    cluster: ClusterFacts,
    cost: Cost,
    encryption: Encryption,
) -> Report:
    """The report of a run from what is known of it; what the run did not get to is None or 0.

    Account ids and keys are blotted out, wherever they come from.
    """
    failed = [task["name"] for task in tasks if task["state"] in _FAILED]
    processed = featurized["processed"] if featurized else 0
    report = Report(
        run_id=run_id,
        state="failed" if failed else "success",
        started_at=started_at.isoformat(timespec="seconds"),
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        region=str(parameters.get("region")),
        bucket=str(parameters.get("bucket")),
        images=ImageCounts(
            found=found or 0,
            new=found or 0,
            processed=processed,
            rejected=featurized["rejected"] if featurized else 0,
            reused=0,
            deleted=0,
        ),
        feature_dim=featurized["feature_dim"] if featurized else None,
        components=reduced["components"] if reduced else None,
        explained_variance=reduced["explained_variance"] if reduced else None,
        explained_variance_ratio=reduced["explained_variance_ratio"] if reduced else None,
        images_per_second=featurized["images_per_second"] if featurized else None,
        model_loads=featurized["model_loads"] if featurized else None,
        model=featurized["model"] if featurized else None,
        tasks=tasks,
        cluster=cluster,
        cost=cost,
        encryption=encryption,
        versions=_versions(featurized),
        failure=first_failure(tasks),
    )
    return redacted(report)


def first_failure(tasks: list[TaskTime]) -> str | None:
    """Which task failed first, in words; tasks that failed only because of it are not named."""
    failed = [task["name"] for task in tasks if task["state"] == "failed"]
    if failed:
        return f"The run failed in {', '.join(failed)}: its log says why."
    skipped = [task["name"] for task in tasks if task["state"] in _FAILED]
    return f"The run did not get to {', '.join(skipped)}." if skipped else None


def _versions(featurized: FeaturizeMetrics | None) -> dict[str, str]:
    airflow_side = {
        name: version(name)
        for name in ("apache-airflow", "apache-airflow-providers-amazon", "boto3", "pyarrow")
    }
    return {**airflow_side, **(featurized["versions"] if featurized else {})}


def task_times(breadcrumbs: list[Mapping[str, Any]], order: list[str]) -> list[TaskTime]:
    """One entry a task, in the DAG's order, from what Airflow remembers of the ended ones."""
    ended = {crumb["task_id"]: crumb for crumb in breadcrumbs}
    return [
        TaskTime(name=name, seconds=ended[name]["duration"], state=str(ended[name]["state"]))
        for name in order
        if name in ended
    ]


def cluster_facts(emr: Any, cluster_id: str | None) -> ClusterFacts:
    """The run's cluster as EMR remembers it, with the life of each instance."""
    if not cluster_id:
        return ClusterFacts(id=None, release=None, final_state=None, instances=[])
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
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
        instances=instances,
    )


def _life(timeline: Mapping[str, datetime]) -> dict[str, str | float | None]:
    """When an instance was created, ready and gone, as ISO 8601, and its hours when it has ended."""
    created, ready, ended = (timeline.get(f"{name}DateTime") for name in ("Creation", "Ready", "End"))
    return {
        "created": created.isoformat() if created else None,
        "ready": ready.isoformat() if ready else None,
        "ended": ended.isoformat() if ended else None,
        "hours": (ended - created).total_seconds() / 3600 if created and ended else None,
    }


def planned_parameters(values: Mapping[str, Any]) -> dict[str, Any]:
    """The run's parameters as given, whether or not they are valid."""
    return {name: values.get(name) for name in RunParameters.model_fields}
