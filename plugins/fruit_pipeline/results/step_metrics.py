"""What the steps of a run leave for the tasks after them."""

from dataclasses import dataclass
from typing import Any

from fruit_contract.classifier import NO_CLASSIFIER, TrainMetrics
from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import FeaturizeMetrics, ReduceMetrics
from fruit_pipeline.results.publication import read_json
from fruit_pipeline.results.run_plan import RunPlan


@dataclass(frozen=True)
class StepMetrics:
    """None for a step that the run does not need, or did not get to."""

    featurized: FeaturizeMetrics | None = None
    reduced: ReduceMetrics | None = None
    trained: TrainMetrics | None = None


def read(s3: Any, layout: RunLayout, plan: RunPlan, classifier: str) -> StepMetrics:
    """The metrics of the steps that a run of this plan has; ``UnreadableError`` for what is no JSON."""
    return StepMetrics(
        featurized=read_json(s3, layout.bucket, layout.featurize_metrics) if has_work(plan) else None,
        reduced=read_json(s3, layout.bucket, layout.reduce_metrics),
        trained=read_json(s3, layout.bucket, layout.train_metrics) if classifier != NO_CLASSIFIER else None,
    )


def are_whole(metrics: StepMetrics, plan: RunPlan, classifier: str) -> bool:
    """Whether every step that the run has left its metrics."""
    return (
        metrics.reduced is not None
        and (metrics.featurized is not None or not has_work(plan))
        and (metrics.trained is not None or classifier == NO_CLASSIFIER)
    )


def has_work(plan: RunPlan) -> bool:
    """Whether there are photos to featurize."""
    return plan["new"] + plan["changed"] > 0
