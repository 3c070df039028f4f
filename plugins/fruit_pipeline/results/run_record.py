"""What is known of a run when its report is written, failed runs too."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fruit_contract.classifier import TrainMetrics
from fruit_contract.report_schema import ClusterFacts, FeaturizeMetrics, ReduceMetrics
from fruit_pipeline.results.run_plan import RunEstimate, RunPlan

_NO_CLUSTER: Final = ClusterFacts(
    id=None,
    release=None,
    final_state=None,
    created=None,
    ready=None,
    ended=None,
    interactive_until=None,
    instances=[],
)


@dataclass(frozen=True)
class RunRecord:
    """A run as far as it got: what it did not get to is None or empty."""

    run_id: str
    started_at: datetime
    given: Mapping[str, Any]
    """The parameters as given, valid or not."""
    plan: RunPlan | None = None
    estimate: RunEstimate | None = None
    featurized: FeaturizeMetrics | None = None
    reduced: ReduceMetrics | None = None
    trained: TrainMetrics | None = None
    pointer: Mapping[str, Any] | None = None
    """What the run has made current."""
    clusters: tuple[ClusterFacts, ...] = ()
    """Every one that the run had, oldest first."""

    @property
    def cluster(self) -> ClusterFacts:
        """The last one."""
        return self.clusters[-1] if self.clusters else _NO_CLUSTER

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters as given, with the fleet that was chosen."""
        return {**self.given, **(self.estimate["sizing"]["chosen"] if self.estimate else {})}
