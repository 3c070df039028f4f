"""report.json: what a run did, how long it took, what it kept and what it cost, failed runs too."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

from fruit_contract.classifier import TrainMetrics
from fruit_contract.report_schema import (
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
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.results.timing import minutes_alive
from fruit_pipeline.security.redaction import redacted

_FAILED: Final = ("failed", "upstream_failed")
_NO_WORD: Final = "somebody marked it failed, or its process was killed: see its log"
"""Of a task that has left no reason."""


class RunFailedError(PipelineError):
    """A task of the run has failed; the message names it."""


def build_report(
    run: RunRecord,
    tasks: list[TaskTime],
    timing: Timing,
    cost: Cost,
    encryption: Encryption,
    why: Mapping[str, str],
) -> Report:
    """The report of a run from what is known of it; what the run did not get to is None or 0.

    ``why`` has the sentences of failed tasks by their names. Account ids and keys are redacted, wherever
    they come from.
    """
    plan, featurized, reduced, parameters = run.plan, run.featurized, run.reduced, run.parameters
    nothing_new = bool(plan and plan["nothing_new"])
    failed = [task["name"] for task in tasks if task["state"] in _FAILED]
    steps = [metrics for metrics in (featurized, reduced) if metrics]
    learnt = [run.trained] if run.trained else []
    report = Report(
        run_id=run.run_id,
        state="failed" if failed else "success",
        nothing_new=nothing_new,
        changes=plan["summary"] if plan else None,
        started_at=run.started_at.isoformat(timespec="seconds"),
        ended_at=datetime.now(UTC).isoformat(timespec="seconds"),
        region=str(parameters.get("region")),
        bucket=str(parameters.get("bucket")),
        parameters=parameters,
        images=_images(run),
        left_out=plan["left_out"] if plan else {},
        feature_dim=steps[0]["feature_dim"] if steps else None,
        components=reduced["components"] if reduced else None,
        explained_variance=reduced["explained_variance"] if reduced else None,
        explained_variance_ratio=reduced["explained_variance_ratio"] if reduced else None,
        images_per_second=featurized["images_per_second"] if featurized else None,
        images_per_second_per_core=(
            round(featurized["images_per_second"] / featurized["cores"], 3) if featurized else None
        ),
        model_loads=featurized["model_loads"] if featurized else None,
        model=featurized["model"] if featurized else plan["model"] if plan else None,
        classifier=run.trained,
        classifier_run=_classifier_run(run),
        tasks=tasks,
        timing=timing,
        sizing=compared(run.estimate["sizing"], run.cluster, cost) if run.estimate else None,
        cluster=run.cluster,
        clusters=list(run.clusters),
        # Without a cluster there is no bill; that nothing was asked for is known, where nothing is new.
        cost=Cost(**{**cost, "actual": 0.0}) if nothing_new and not run.clusters else cost,
        encryption=encryption,
        versions=_versions([*steps, *learnt]),
        failure=first_failure(tasks, why),
    )
    return redacted(report)


def _classifier_run(run: RunRecord) -> str | None:
    """As the pointer has it; where nothing is new, the pointer stays as it was planned on."""
    if run.pointer:
        named: str | None = run.pointer["classifier_run"]
        return named
    return run.plan["classifier_run"] if run.plan and run.plan["nothing_new"] else None


def first_failure(tasks: list[TaskTime], why: Mapping[str, str]) -> str | None:
    """Which tasks failed and why, in words; those that failed only because of them are not named."""
    failed = [task["name"] for task in tasks if task["state"] == "failed"]
    if failed:
        said = [why.get(name, _NO_WORD) for name in failed]
        pairs = zip(failed, said, strict=True)
        return " ".join(f"The run failed in {name}: {reason.rstrip('.')}." for name, reason in pairs)
    skipped = [task["name"] for task in tasks if task["state"] in _FAILED]
    return f"The run did not get to {', '.join(skipped)}." if skipped else None


def _images(run: RunRecord) -> ImageCounts:
    """The counts as far as the run got. The featurize step knows of its own work alone."""
    counts = ImageCounts(found=0, new=0, changed=0, processed=0, rejected=0, reused=0, deleted=0)
    if run.plan:
        counts["found"] = run.plan["images"]
        counts["new"], counts["changed"] = run.plan["new"], run.plan["changed"]
        counts["reused"], counts["deleted"] = run.plan["reused"], run.plan["deleted"]
    if run.reduced:
        counts["processed"], counts["rejected"] = run.reduced["rows"], run.reduced["rejected"]
    elif run.featurized:
        counts["processed"], counts["rejected"] = run.featurized["processed"], run.featurized["rejected"]
    return counts


def _versions(steps: Sequence[FeaturizeMetrics | ReduceMetrics | TrainMetrics]) -> dict[str, str]:
    airflow_side = {
        name: version(name)
        for name in ("apache-airflow", "apache-airflow-providers-amazon", "boto3", "pyarrow")
    }
    return airflow_side | {name: used for step in steps for name, used in step["versions"].items()}


def compared(expected: ExpectedSizing, cluster: ClusterFacts, cost: Cost) -> Sizing:
    """What was expected of the fleet beside what happened."""
    return Sizing(
        **expected,
        expected_eur=cost["expected"],
        actual_minutes=minutes_alive(cluster),
        actual_eur=cost["actual"],
    )
