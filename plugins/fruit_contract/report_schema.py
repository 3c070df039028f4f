"""The shapes of ``report.json`` and of the metrics that each Spark step leaves for it."""

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from fruit_contract.classifier import TrainMetrics


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


class Work(TypedDict):
    """How much of a step its executors have worked."""

    cores: int
    """The executors', when the step ended."""
    task_seconds: float
    """Of all tasks together: a core that has one all the time has as many seconds as the step."""


class FeaturizeMetrics(Work):
    """``featurize.json``, written by the featurize step."""

    found: int
    processed: int
    rejected: int
    reused: int
    """Images whose rows an earlier attempt at the same work had written."""
    feature_dim: int
    model_loads: int
    """How many Python workers loaded the model from the broadcast, from an accumulator."""
    startup_seconds: float
    """From the launch of the driver's JVM until Spark was ready for work."""
    seconds: float
    images_per_second: float
    """Valid and rejected images, without the reused, over the whole step, Spark's own start-up included."""
    model: ModelFacts
    versions: dict[str, str]


class ReduceMetrics(Work):
    """``reduce.json``, written by the reduce step."""

    rows: int
    rejected: int
    """Photos without a row: rejected now, or by an earlier run and unchanged since."""
    dead_rows: int
    """Rows in the feature files that count no more: of deleted photos, or of older versions."""
    model: str
    """``"fitted"``, or ``"reused"`` where the current model explains the new photos well enough."""
    new_variance: float | None
    """Share of the new photos' variance that the current model explains, 0 to 1; None where not asked."""
    compacted: bool
    """Whether the features of all live photos were written anew, to few files without dead rows."""
    files_before: int
    """Feature files that were read."""
    files_after: int
    """Feature files that the next run will find, beside its own."""
    feature_dim: int
    components: int
    share_asked: float | None
    """Of the variance, above 0 and below 1; None where a number of components was asked for."""
    explained_variance: float
    """Sum of the ratios of the components kept, 0 to 1."""
    explained_variance_ratio: list[float]
    components_for_minimum: int | None
    """The smallest k that reaches the minimum; None where no k up to ``components`` does."""
    solver: str
    scaling: str
    startup_seconds: float
    seconds: float
    versions: dict[str, str]


class ImageCounts(TypedDict):
    """Photos by their number: found = new + changed + reused = processed + rejected."""

    found: int
    new: int
    changed: int
    """Those with another ETag or size than in the current result. They and the new ones are featurized."""
    processed: int
    """Rows of the result."""
    rejected: int
    reused: int
    """Those whose features, or rejection, an earlier run has left."""
    deleted: int


class TaskTime(TypedDict):
    """A task of the run. Its last attempt counts; a sensor's time includes its waiting."""

    name: str
    started_after: float | None
    """Seconds from the start of the run to the start of the task; None where it never started."""
    waited: float | None
    """Seconds it was ready to start, until it did: scheduled, queued, its process started."""
    seconds: float | None
    state: str


class StepTime(TypedDict):
    """A step of the cluster, by EMR's own clock, in seconds."""

    name: str
    state: str
    started_after: float | None
    """Seconds from the start of the run to the start of the step."""
    queued: float | None
    """From AddJobFlowSteps to its start."""
    seconds: float | None
    """From its start to its end."""
    noticed_after: float | None
    """From its end until the sensor was done: polling, and resuming the task."""
    startup: float | None
    """Of ``seconds``, what was before its first work (container, Spark), and the little after its last."""
    idle: float | None
    """Of its cores' time, the share without a task, 0 to 1."""


class Timing(TypedDict):
    """Where the time between the tasks' lines went, in seconds; None for what did not happen."""

    to_cluster: float | None
    """From the start of the run to RunJobFlow."""
    provisioning: float | None
    """From RunJobFlow until the cluster was ready."""
    to_first_step: float | None
    """From the start of the run to the start of the first step."""
    steps: list[StepTime]
    after_last_step: float | None
    """From the end of the last step to the end of the cluster."""
    idle: float | None
    """Of the cores' time in all steps that tell it, the share without a task, 0 to 1."""


class ChosenFleet(TypedDict):
    worker_type: str
    workers: int


class ExpectedSizing(TypedDict):
    """The fleet and what is expected of it, before the cluster exists."""

    chosen: ChosenFleet
    automatic: bool
    """Whether it was chosen for the run, and not given."""
    expected_minutes: float
    """The cluster's life."""
    arithmetic: str
    """How that comes about, in words."""


class Sizing(ExpectedSizing):
    """The same beside what happened. None where there was no cluster, no end or no price."""

    expected_eur: float | None
    actual_minutes: float | None
    actual_eur: float | None


class ClusterFacts(TypedDict):
    id: str | None
    release: str | None
    final_state: str | None
    created: str | None
    """ISO 8601, as the two that follow."""
    ready: str | None
    ended: str | None
    interactive_until: str | None
    """Until when it was left to people, ISO 8601; it is then alive when the report is written."""
    instances: list[dict[str, object]]


class CostLine(TypedDict):
    group: str
    """``EC2 Spot``, ``EC2 on demand``, ``EMR``, ``EBS`` or ``S3``."""
    service: str
    """What was counted, in words."""
    amount: float


class GroupCost(TypedDict):
    """The sums of one group of lines, in EUR."""

    group: str
    estimate: float | None
    """At worst, known before anything was created; as ``expected`` None where it was not estimated."""
    expected: float | None
    actual: float | None
    """None where nothing of the group was billed."""


class PriceFacts(TypedDict):
    source: str
    """``live``, ``snapshot``, which part is which, or why there is no price."""
    date: str | None
    """The day of the oldest of them, YYYY-MM-DD."""
    stale: bool


class ExchangeRate(TypedDict):
    usd_per_eur: float
    date: str
    stale: bool


class Cost(TypedDict):
    """What the run costs, with all its clusters. Lines sum to ``actual``, before tax and discounts."""

    currency: str
    estimate: float | None
    """The worst case, known before anything was created; with what earlier clusters had cost."""
    expected: float | None
    """What was expected then."""
    actual: float | None
    """From the instances' own timelines; None where there was no cluster, or no price."""
    lines: list[CostLine]
    groups: list[GroupCost]
    """Before and after, side by side. Older reports lack it."""
    prices: PriceFacts
    exchange: ExchangeRate
    cost_explorer: dict[str, object]
    """The GetCostAndUsage request that shows the invoice's side of this run."""


class BucketEncryption(TypedDict):
    """A bucket's own settings, as S3 gives them."""

    tls_only: bool
    """Whether the bucket's policy denies every request that does not come over TLS."""
    default_algorithm: str | None
    """AES256 or aws:kms, for objects written without naming one."""
    default_kms_key: str | None
    bucket_key: bool
    public_access_blocked: bool
    """All four settings of the public access block."""
    versioning: str | None
    """Enabled or Suspended; None where it was never switched on."""


class ObjectEncryption(TypedDict):
    """What the heads of the run's objects say."""

    checked: int
    """As many as there are, or an evenly spaced sample of them."""
    total: int
    algorithms: dict[str, int]
    """How many of the checked ones are encrypted by which algorithm."""
    kms_keys: list[str]
    bucket_keys: int
    """How many use the bucket's key rather than one of their own."""
    unencrypted: list[str]
    """Keys without server-side encryption, at most twenty of them."""


class AtRest(TypedDict):
    s3: str | None
    """EMRFS's mode, such as SSE-S3."""
    local_disk: str | None
    """What provides the keys, such as AwsKms."""
    ebs: bool


class ClusterEncryption(TypedDict):
    """What the cluster's description and its security configuration say."""

    security_configuration: str | None
    at_rest: AtRest | None
    in_transit: bool
    imdsv2: bool
    """Whether the configuration asks for version 2 of the instance metadata service."""
    logs_kms_key: str | None


class Encryption(TypedDict):
    """What was seen of encryption. A part that was not seen is None."""

    bucket: BucketEncryption | None
    objects: ObjectEncryption | None
    cluster: ClusterEncryption | None
    not_seen: dict[str, str]
    """Why a part is None, such as AWS's error code."""


class Report(TypedDict):
    """``report.json``. A value the run did not get to is None."""

    run_id: str
    state: str
    nothing_new: bool
    """Whether the run ended without a cluster, for the current result is what it would have made."""
    changes: str | None
    """What the run found since the current result, in words."""
    started_at: str
    ended_at: str
    region: str
    bucket: str
    parameters: dict[str, object]
    """As they were given, with the fleet that was chosen."""
    images: ImageCounts
    left_out: dict[str, int]
    """Files below the prefix that are not named like images, by their suffixes: the ten most frequent."""
    feature_dim: int | None
    components: int | None
    explained_variance: float | None
    explained_variance_ratio: list[float] | None
    images_per_second: float | None
    images_per_second_per_core: float | None
    model_loads: int | None
    model: ModelFacts | None
    classifier: "TrainMetrics | None"
    """What the train step made and how it was judged; None where no classifier was asked for."""
    classifier_run: str | None
    """The run whose classifier is current with this result: its own, an older one, or none."""
    tasks: list[TaskTime]
    timing: Timing
    sizing: Sizing | None
    """None for a run that was refused before its fleet was known."""
    cluster: ClusterFacts
    """The last one that the run had."""
    clusters: list[ClusterFacts]
    """Every one that it had, oldest first: more than one where a task was repeated or cleared."""
    cost: Cost
    encryption: Encryption
    versions: dict[str, str]
    failure: str | None
    """The first failure in words, None for a successful run."""
