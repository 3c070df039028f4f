"""report.json: what a run did, how long it took, what it kept and what it cost, failed runs too."""

from collections.abc import Mapping, Sequence
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
from fruit_pipeline import interactive
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.planned import Planned
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
    planned: Planned | None,
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
    steps = [metrics for metrics in (featurized, reduced) if metrics]
    base = planned["base"] if planned else None
    report = Report(
        run_id=run_id,
        state="failed" if failed else "success",
        nothing_new=bool(planned and planned["nothing_new"]),
        changes=planned["summary"] if planned else None,
        started_at=started_at.isoformat(timespec="seconds"),
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        region=str(parameters.get("region")),
        bucket=str(parameters.get("bucket")),
        images=_images(planned, featurized, reduced),
        feature_dim=steps[0]["feature_dim"] if steps else None,
        components=reduced["components"] if reduced else None,
        explained_variance=reduced["explained_variance"] if reduced else None,
        explained_variance_ratio=reduced["explained_variance_ratio"] if reduced else None,
        images_per_second=featurized["images_per_second"] if featurized else None,
        images_per_second_per_core=(
            round(featurized["images_per_second"] / featurized["cores"], 3) if featurized else None
        ),
        model_loads=featurized["model_loads"] if featurized else None,
        model=featurized["model"] if featurized else base["model"] if base else None,
        tasks=tasks,
        timing=timing,
        sizing=compared(sizing, cluster, cost) if sizing else None,
        cluster=cluster,
        clusters=clusters,
        # Without a cluster there is no bill; that nothing was asked for is known, where nothing is new.
        cost=Cost(**{**cost, "actual": 0.0}) if planned and planned["nothing_new"] and not clusters else cost,
        encryption=encryption,
        versions=_versions(steps),
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


def _images(
    planned: Planned | None, featurized: FeaturizeMetrics | None, reduced: ReduceMetrics | None
) -> ImageCounts:
    """The counts as far as the run got. The featurize step knows of its own work alone."""
    counts = ImageCounts(found=0, new=0, changed=0, processed=0, rejected=0, reused=0, deleted=0)
    if planned:
        counts["found"] = planned["images"]
        counts["new"], counts["changed"] = planned["new"], planned["changed"]
        counts["reused"], counts["deleted"] = planned["reused"], planned["deleted"]
    if reduced:
        counts["processed"], counts["rejected"] = reduced["rows"], reduced["rejected"]
    elif featurized:
        counts["processed"], counts["rejected"] = featurized["processed"], featurized["rejected"]
    return counts


def _versions(steps: Sequence[FeaturizeMetrics | ReduceMetrics]) -> dict[str, str]:
    airflow_side = {
        name: version(name)
        for name in ("apache-airflow", "apache-airflow-providers-amazon", "boto3", "pyarrow")
    }
    return airflow_side | {name: found for step in steps for name, found in step["versions"].items()}


def compared(expected: ExpectedSizing, cluster: ClusterFacts, cost: Cost) -> Sizing:
    """What was expected of the fleet beside what happened."""
    return Sizing(
        **expected,
        expected_eur=cost["expected"],
        actual_minutes=minutes_alive(cluster),
        actual_eur=cost["actual"],
    )


NO_CLUSTER: Final = ClusterFacts(
    id=None,
    release=None,
    final_state=None,
    created=None,
    ready=None,
    ended=None,
    interactive_until=None,
    instances=[],
)


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


def planned_parameters(values: Mapping[str, Any], sizing: ExpectedSizing | None) -> dict[str, Any]:
    """The run's parameters as given, whether or not they are valid, with the fleet that was chosen."""
    given = {name: values.get(name) for name in RunParameters.model_fields}
    return {**given, **(sizing["chosen"] if sizing else {})}
