"""What a run will cost, before anything is created: at worst, and as expected.

The worst case has as many nodes as there may be, each of the dearest type that may come, at its bid for
the hard lifetime, and every S3 request repeated as often as Spark tries a task. The expected one has the
nodes asked for, the hours that the photos need at measured rates, and the interactive time.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from fruit_contract.classifier import NO_CLASSIFIER
from fruit_contract.partitions import (
    compacted_partitions,
    image_partitions,
    most_feature_files,
    output_partitions,
)
from fruit_contract.s3_limits import READS_A_SECOND
from fruit_contract.variance import bounds
from fruit_pipeline.cost import prices as price_list
from fruit_pipeline.cost import substitutes
from fruit_pipeline.cost.invoice import ON_DEMAND, SPOT, InvoiceLine, NodeUse, S3Use, invoice_lines, total_usd
from fruit_pipeline.cost.prices import PriceError, Prices
from fruit_pipeline.cost.speeds import (
    END_SECONDS,
    FETCH_SECONDS,
    GRAVITON3_FACTOR,
    GRAVITON_IMAGES_PER_SECOND,
    OVERTIME_SECONDS,
    RAW_IMAGES_PER_SECOND,
    START_SECONDS,
    STEP_SECONDS,
)
from fruit_pipeline.cost.step_times import (
    Workers,
    featurize_seconds,
    image_seconds,
    reduce_seconds,
    train_seconds,
)
from fruit_pipeline.settings import instance_types
from fruit_pipeline.settings.parameters import RunParameters

ASSUMED_SPOT_SHARE: Final = 0.65
"""Spot price over on-demand where EC2 does not tell it: the upper end of what a public catalogue
of 2026 shows for general-purpose types in eu-west-1. The worst case never uses it."""

LIST_PAGE: Final = 1000
"""Keys in an answer of ListObjectsV2."""
READS_PER_IMAGE: Final = {"fast": 1, "spark-image": 2}
"""A GET; Spark's image source sends a HEAD before."""
TASK_ATTEMPTS: Final = 4
"""``spark.task.maxFailures``: how often Spark tries a task before it gives up."""
PART_BYTES: Final = 5 * 2**20
"""A larger file goes to S3 in parts of this size: what obstore's ``put`` takes unless told otherwise."""
PUTS_PER_FILE: Final = 3
"""At most, beside its parts: a task's file is one PUT, or begin, last part and end of a multipart upload."""
PUTS_PER_SPARK_FILE: Final = 8
"""Where Spark's own writer is needed, for its image source and to compact: with what S3A's magic committer
keeps of each."""
GETS_PER_FILE: Final = 20
"""At most: a head, footer and columns, when each step and the verification read it."""
READINGS: Final = 8
"""How often the features are listed, by all steps together."""
PUTS_PER_RUN: Final = 100
"""Artifacts in parts, work list, rejected, metrics, plot, PCA model, pointer, report, commit markers."""
PUTS_PER_CLASSIFIER: Final = 100
"""At most: its stages as Spark stores them, twice, each with a marker; layers, card and plots."""
GETS_PER_NODE: Final = 100
"""Code, model and runtime on each node, the runtime in ranges."""
LOG_PUTS_PER_NODE_HOUR: Final = 240
"""EMR ships logs every five minutes; up to 20 files a node each time is an assumption."""

FEATURE_BYTES: Final = 1280 * 4
ROW_BYTES: Final = 200
"""Path, label and Parquet's own, of a row in each of two tables and of the work list."""
RUN_GB: Final = 0.2
"""Artifacts and logs."""
STORAGE_MONTHS: Final = 1
"""How long features and outputs are kept in the estimate; photos are not counted."""


@dataclass(frozen=True)
class Workload:
    """What ``plan`` found under the prefix."""

    images: int
    """To be featurized: the new and the changed ones."""
    image_bytes: int
    """Of these."""
    ignored: int = 0
    reused: int = 0
    """Images whose features are there, and are only reduced."""
    spent_usd: float = 0.0
    """What earlier clusters of the same run have cost: it counts in both sums."""

    def __post_init__(self) -> None:
        for name in ("images", "image_bytes", "ignored", "reused", "spent_usd"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise PriceError(f"{name} is {value}: it must be a number, 0 or more.")

    @property
    def rows(self) -> int:
        """What is reduced and written."""
        return self.images + self.reused


@dataclass(frozen=True)
class Estimate:
    """USD, line by line."""

    worst: list[InvoiceLine]
    expected: list[InvoiceLine]
    expected_hours: float
    """What the photos need, though ``max_hours`` may end the cluster before; it bounds the expected sum."""


def estimate(parameters: RunParameters, workload: Workload, prices: Prices) -> Estimate:
    """Both sums for a run; ``PriceError`` for no images, no hours, or a type without a price."""
    if workload.rows == 0:
        raise PriceError(
            "There are no images to estimate a cost for: upload photos, or correct input_prefix."
        )
    needed, interactive = expected_hours(parameters, workload), parameters.interactive_minutes / 60
    hours = min(needed, parameters.max_hours) + interactive
    expected = invoice_lines(
        _expected_nodes(parameters, hours), s3_use(parameters, workload, hours), _with_assumed_spot(prices)
    )
    return Estimate(
        worst=worst_lines(parameters, workload, prices),
        expected=expected + _spent(workload),
        expected_hours=needed + interactive,
    )


def worst_lines(parameters: RunParameters, workload: Workload, prices: Prices) -> list[InvoiceLine]:
    """Every node for lifetime and overtime at the on-demand price, which is also the Spot bid.

    A second cluster has what the first leaves of the lifetime, and an overtime and attempts of its own.
    """
    clusters = 2 if parameters.may_be_replaced else 1
    hours = parameters.lifetime_hours + clusters * OVERTIME_SECONDS / 3600
    use = s3_use(parameters, workload, hours, clusters * TASK_ATTEMPTS, parameters.most_workers)
    nodes = _worst_nodes(parameters, hours, prices)
    return invoice_lines(nodes, use, replace(prices, spot={})) + _spent(workload)


def _spent(workload: Workload) -> list[InvoiceLine]:
    return (
        [InvoiceLine("Earlier", "Earlier clusters of this run", workload.spent_usd)]
        if workload.spent_usd
        else []
    )


def expected_hours(parameters: RunParameters, workload: Workload) -> float:
    """The work's part of the cluster's life in hours, at the rates above."""
    seconds = START_SECONDS + step_seconds(parameters, workload) + END_SECONDS
    return seconds / 3600


def step_seconds(parameters: RunParameters, workload: Workload) -> float:
    """The steps together, in seconds."""
    workers = workers_of(parameters)
    seconds = STEP_SECONDS + reduce_seconds(workers, workload.rows, parameters.solver)
    if workload.images:
        seconds += STEP_SECONDS + max(_computing(parameters, workload), _reading(parameters, workload))
    if parameters.classifier != NO_CLASSIFIER:
        seconds += STEP_SECONDS + train_seconds(workers, workload.rows, parameters.classifier)
    return seconds


def reads_bind(parameters: RunParameters, workload: Workload) -> bool:
    """Whether S3 gives the photos more slowly than the cores could take them."""
    return _reading(parameters, workload) > _computing(parameters, workload)


def _computing(parameters: RunParameters, workload: Workload) -> float:
    return featurize_seconds(
        workers_of(parameters),
        workload.images,
        workload.image_bytes,
        parameters.engine,
        parameters.image_size,
    )


def _reading(parameters: RunParameters, workload: Workload) -> float:
    return workload.images * READS_PER_IMAGE[parameters.reader] / READS_A_SECOND


def workers_of(parameters: RunParameters) -> Workers:
    """An executor on each worker, with a task for each vCPU; one core is the driver's."""
    fleet = parameters.fleet
    tasks = fleet.workers * instance_types.vcpus(fleet.worker_type)
    return Workers(fleet.workers, tasks, max(1, tasks - 1), _raw_images_per_second(parameters))


def _raw_images_per_second(parameters: RunParameters) -> float:
    """Of LiteRT on a core of the slowest type that may come."""
    is_faster = all(each.partition(".")[0].endswith("7g") for each in substitutes.worker_types(parameters))
    return GRAVITON_IMAGES_PER_SECOND * (GRAVITON3_FACTOR if is_faster else 1.0)


def images_per_core_second(parameters: RunParameters) -> float:
    """What a core of a worker does of small photos, from GET to file."""
    share = _raw_images_per_second(parameters) / RAW_IMAGES_PER_SECOND
    return share / (FETCH_SECONDS + image_seconds(parameters.engine, parameters.image_size))


def s3_use(
    parameters: RunParameters,
    workload: Workload,
    hours: float,
    attempts: int = 1,
    workers: int | None = None,
) -> S3Use:
    """Requests and storage from the counts alone, when Spark tries each task ``attempts`` times.

    ``workers`` are those asked for, where no other number is given. Features that are used again are
    counted as if they were about to be compacted: in the most files, each in a folder of its own. Of a share
    of the variance, the most components are counted.
    """
    images, rows, reused = workload.images, workload.rows, workload.reused
    count = workers or parameters.fleet.workers
    nodes, vcpus = count + 1, count * instance_types.vcpus(parameters.fleet.worker_type)
    features = image_partitions(images, vcpus) if images else 0
    outputs = output_partitions(rows, vcpus)
    known = min(reused, most_feature_files(rows)) if reused else 0
    compacted = compacted_partitions(rows, vcpus) if reused else 0

    vectors = images + (rows if reused else 0)
    _, components = bounds(parameters.components)
    in_parts = vectors * (FEATURE_BYTES + ROW_BYTES) + rows * (components * 4 + ROW_BYTES)
    by_spark = compacted + (features if parameters.reader == "spark-image" else 0)
    by_tasks = outputs + (features if parameters.reader == "fast" else 0)
    written = by_spark * PUTS_PER_SPARK_FILE + by_tasks * PUTS_PER_FILE + in_parts / PART_BYTES
    listed = math.ceil((rows + workload.ignored) / LIST_PAGE)
    listed += READINGS * (math.ceil(features / LIST_PAGE) + known)
    logged = nodes * hours * LOG_PUTS_PER_NODE_HOUR
    learnt = PUTS_PER_CLASSIFIER if parameters.classifier != NO_CLASSIFIER else 0
    files = features + outputs + known + compacted
    read = images * READS_PER_IMAGE[parameters.reader] + files * GETS_PER_FILE
    row = FEATURE_BYTES + components * 4 + 3 * ROW_BYTES
    return S3Use(
        puts=listed + PUTS_PER_RUN + learnt + logged + attempts * written,
        gets=nodes * GETS_PER_NODE + attempts * read,
        gb_months=STORAGE_MONTHS * (rows * row / 1e9 + RUN_GB),
    )


def _expected_nodes(parameters: RunParameters, hours: float) -> list[NodeUse]:
    fleet = parameters.fleet
    return _nodes(parameters, hours, parameters.primary_type, fleet.worker_type, fleet.workers)


def _worst_nodes(parameters: RunParameters, hours: float, prices: Prices) -> list[NodeUse]:
    primary = _dearest(substitutes.primary_types(parameters), prices)
    worker = _dearest(substitutes.worker_types(parameters), prices)
    return _nodes(parameters, hours, primary, worker, parameters.most_workers)


def _dearest(types: Iterable[str], prices: Prices) -> str:
    def usd_per_hour(name: str) -> float:
        if name not in prices.on_demand or name not in prices.emr_fee:
            raise price_list.unknown_price(name, prices.region)
        return prices.on_demand[name] + prices.emr_fee[name]

    return max(types, key=usd_per_hour)


def _nodes(parameters: RunParameters, hours: float, primary: str, worker: str, workers: int) -> list[NodeUse]:
    def node(instance_type: str, market: str) -> NodeUse:
        return NodeUse(instance_type, ON_DEMAND if market == "on-demand" else SPOT, hours * 3600)

    return [node(primary, parameters.market_of_primary)] + [node(worker, parameters.spot)] * workers


def _with_assumed_spot(prices: Prices) -> Prices:
    assumed = {name: ASSUMED_SPOT_SHARE * usd for name, usd in prices.on_demand.items()}
    return replace(prices, spot={**assumed, **prices.spot})


def is_affordable(worst_usd: float, parameters: RunParameters, usd_per_eur: float) -> bool:
    """Whether a worst case is within the run's budget: the one rule of it."""
    return worst_usd / usd_per_eur <= parameters.budget_eur


def fits(
    parameters: RunParameters, workload: Workload, prices: Prices, usd_per_eur: float
) -> dict[str, float]:
    """What to lower a parameter to, alone, for the worst case to fit; one that cannot is left out.

    Nothing is proposed that would end the cluster before the photos are expected to be done, or before
    it may still be starting.
    """

    def fitting(change: dict[str, float]) -> bool:
        changed = parameters.model_copy(update=change)
        return changed.max_hours >= max(
            expected_hours(changed, workload), changed.max_start_minutes / 60
        ) and is_affordable(total_usd(worst_lines(changed, workload, prices)), changed, usd_per_eur)

    suggestions: dict[str, float] = {}
    tenths = [hours / 10 for hours in range(1, math.ceil(parameters.max_hours * 10))]
    least = parameters.fleet.workers if parameters.scales else 1
    count = "max_workers" if parameters.scales else "workers"
    for name, values in (("max_hours", tenths), (count, list(range(least, parameters.most_workers)))):
        low_enough = [value for value in values if fitting({name: value})]
        if low_enough:
            suggestions[name] = max(low_enough)
    return suggestions
