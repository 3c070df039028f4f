"""The shapes of ``report.json`` and of the metrics that each Spark step leaves for it."""

from typing import TypedDict


class ModelFacts(TypedDict):
    name: str
    weights: str
    """Where the weights come from, in words, such as ``"ImageNet"``."""
    fingerprint: str
    """SHA-256 of the model file, hex: another precision is another file."""
    image_size: int
    engine: str
    precision: str
    """Of the weights: ``"float32"`` or ``"float16"``."""


class FeaturizeMetrics(TypedDict):
    """``featurize.json``, written by the featurize step."""

    found: int
    processed: int
    rejected: int
    feature_dim: int
    model_loads: int
    """How many Python workers loaded the model from the broadcast, from an accumulator."""
    seconds: float
    images_per_second: float
    """Valid and rejected images over the whole step, Spark's own start-up included."""
    model: ModelFacts
    versions: dict[str, str]


class ReduceMetrics(TypedDict):
    """``reduce.json``, written by the reduce step."""

    rows: int
    feature_dim: int
    components: int
    explained_variance: float
    """Sum of the ratios of the components kept, 0 to 1."""
    explained_variance_ratio: list[float]
    components_for_minimum: int | None
    """The smallest k that reaches the minimum; None where no k up to ``components`` does."""
    solver: str
    seconds: float
    versions: dict[str, str]


class ImageCounts(TypedDict):
    found: int
    new: int
    processed: int
    rejected: int
    reused: int
    deleted: int


class TaskTime(TypedDict):
    name: str
    seconds: float | None
    state: str


class ClusterFacts(TypedDict):
    id: str | None
    release: str | None
    final_state: str | None
    instances: list[dict[str, object]]


class CostLine(TypedDict):
    service: str
    amount: float


class Cost(TypedDict):
    currency: str
    estimate: float | None
    actual: float | None
    lines: list[CostLine]


class Report(TypedDict):
    """``report.json``. A value the run did not get to is None."""

    run_id: str
    state: str
    started_at: str
    ended_at: str
    region: str
    bucket: str
    images: ImageCounts
    feature_dim: int | None
    components: int | None
    explained_variance: float | None
    explained_variance_ratio: list[float] | None
    images_per_second: float | None
    model_loads: int | None
    model: ModelFacts | None
    tasks: list[TaskTime]
    cluster: ClusterFacts
    cost: Cost
    versions: dict[str, str]
    failure: str | None
    """The first failure in words, None for a successful run."""
