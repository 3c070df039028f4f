"""report.json: what a run did, how long it took, what it kept and what it cost, failed runs too."""

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Final

from fruit_contract.report import (
    ClusterFacts,
    Cost,
    Encryption,
    ExpectedSizing,
    FeaturizeMetrics,
    ImageCounts,
    ReduceMetrics,
    Report,
    Sizing,
    TaskTime,
    Timing,
)
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.redaction import redacted
from fruit_pipeline.timing import minutes_alive

_FAILED: Final = ("failed", "upstream_failed")


def build_report(
    *,
    run_id: str,
    started_at: datetime,
    parameters: Mapping[str, Any],
    tasks: list[TaskTime],
    timing: Timing,
    sizing: ExpectedSizing | None,
    found: int | None,
    featurized: FeaturizeMetrics | None,
    reduced: ReduceMetrics | None,
    cluster: ClusterFacts,
    clusters: list[ClusterFacts],
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
        images_per_second_per_core=(
            round(featurized["images_per_second"] / featurized["cores"], 3) if featurized else None
        ),
        model_loads=featurized["model_loads"] if featurized else None,
        model=featurized["model"] if featurized else None,
        tasks=tasks,
        timing=timing,
        sizing=compared(sizing, cluster, cost) if sizing else None,
        cluster=cluster,
        clusters=clusters,
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


def compared(expected: ExpectedSizing, cluster: ClusterFacts, cost: Cost) -> Sizing:
    """What was expected of the fleet beside what happened."""
    return Sizing(
        **expected,
        expected_eur=cost["expected"],
        actual_minutes=minutes_alive(cluster),
        actual_eur=cost["actual"],
    )


NO_CLUSTER: Final = ClusterFacts(
    id=None, release=None, final_state=None, created=None, ready=None, ended=None, instances=[]
)


def cluster_facts(emr: Any, cluster_id: str) -> ClusterFacts:
    """A cluster as EMR remembers it, with the life of each instance."""
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    created, ready, ended = _timeline(cluster["Status"].get("Timeline", {}))
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


def planned_parameters(values: Mapping[str, Any], sizing: ExpectedSizing | None) -> dict[str, Any]:
    """The run's parameters as given, whether or not they are valid, with the fleet that was chosen."""
    given = {name: values.get(name) for name in RunParameters.model_fields}
    return {**given, **(sizing["chosen"] if sizing else {})}
