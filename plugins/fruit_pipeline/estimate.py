"""What a run will cost, before anything is created: at worst, and as expected.

The worst case has as many nodes as there may be, each of the dearest type that may come, at its bid for
the hard lifetime, and every S3 request repeated as often as Spark tries a task. The expected one has the
nodes asked for, the hours that the photos need at measured rates, and the interactive time.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from fruit_pipeline import fleets
from fruit_pipeline import prices as price_list
from fruit_pipeline.invoice import ON_DEMAND, SPOT, CostLine, NodeUse, S3Use, invoice_lines, total_usd
from fruit_pipeline.parameters import Fleet, RunParameters
from fruit_pipeline.prices import PriceError, Prices

IMAGES_PER_CORE_SECOND: Final = {"litert": 90.0, "keras": 34.0}
"""MobileNetV2 at 224 pixels on one x86 core, measured: LiteRT alone; Keras in Spark, 68 on two
cores. A Graviton vCPU is assumed to be as fast."""
SHARE_OF_224: Final = {96: 0.25, 128: 0.38, 160: 0.55, 192: 0.79, 224: 1.0}
"""Time of an image by its side in pixels, over that at 224: measured with LiteRT on one x86 core, medians
of six rounds, and a little more than the ratio of areas. Keras is assumed to scale alike."""
DECODED_BYTES_PER_CORE_SECOND: Final = 35e6
"""Decode and resize, measured: 0.17 ms for a JPEG of 6 kB."""
REDUCED_ROWS_PER_CORE_SECOND: Final = 2500.0
"""PCA by blocks, measured: 20,000 rows in 3.9 s on two cores."""
SPARK_SOLVER_SECONDS: Final = 40.0
"""What pyspark.ml's own PCA takes beside, for its decomposition in Java, measured."""
START_SECONDS: Final = 480.0
"""From RunJobFlow to the first step: an assumption, from what EMR usually takes."""
STEP_SECONDS: Final = 45.0
"""Submitting a step, starting Spark and shipping the runtime, for each: an assumption."""
END_SECONDS: Final = 120.0
"""From the last step to the end of the instances: an assumption."""
ASSUMED_SPOT_SHARE: Final = 0.65
"""Spot price over on-demand where EC2 does not tell it: the upper end of what a public catalogue
of 2026 shows for general-purpose types in eu-west-1. The worst case never uses it."""

LIST_PAGE: Final = 1000
"""Keys in an answer of ListObjectsV2."""
READS_PER_IMAGE: Final = {"fast": 1, "spark-image": 2}
"""A GET; Spark's image source sends a HEAD before."""
TASK_ATTEMPTS: Final = 4
"""``spark.task.maxFailures``: how often Spark tries a task before it gives up."""
IMAGES_PER_FILE: Final = 250
"""The least images of a task, each of which writes one file per table: docs/steps.md."""
TABLES: Final = 3
"""Features, rejected, PCA output."""
PUTS_PER_FILE: Final = 8
"""S3A's magic committer: marker, start, part, pending, pendingset, complete, and lists."""
GETS_PER_FILE: Final = 16
"""Existence checks of the committer, and footer and column reads of the next step."""
PUTS_PER_RUN: Final = 100
"""Artifacts in parts, work list, metrics, plot, PCA model, pointer, report, commit markers."""
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

    def __post_init__(self) -> None:
        for name in ("images", "image_bytes", "ignored", "reused"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise PriceError(f"{name} is {value}: it must be a number, 0 or more.")

    @property
    def rows(self) -> int:
        """What is reduced and written."""
        return self.images + self.reused

    @property
    def steps(self) -> int:
        """Featurize, where there is something to featurize, and reduce."""
        return 2 if self.images else 1


@dataclass(frozen=True)
class Estimate:
    """USD, line by line, and the life of the cluster behind the expected sum."""

    worst: list[CostLine]
    expected: list[CostLine]
    expected_hours: float


def estimate(parameters: RunParameters, workload: Workload, prices: Prices) -> Estimate:
    """Both sums for a run; ``PriceError`` for no images, no hours, or a type without a price."""
    if workload.rows == 0:
        raise PriceError(
            "There are no images to estimate a cost for: upload photos, or correct input_prefix."
        )
    work = min(expected_hours(parameters, workload), parameters.max_hours)
    hours = work + parameters.interactive_minutes / 60
    return Estimate(
        worst=worst_lines(parameters, workload, prices),
        expected=invoice_lines(
            _expected_nodes(parameters, hours),
            s3_use(parameters, workload, hours),
            _with_assumed_spot(prices),
        ),
        expected_hours=hours,
    )


def worst_lines(parameters: RunParameters, workload: Workload, prices: Prices) -> list[CostLine]:
    """Every node for the whole lifetime at the on-demand price, which is also the Spot bid."""
    hours = parameters.lifetime_hours
    use = s3_use(parameters, workload, hours, TASK_ATTEMPTS, parameters.most_workers)
    return invoice_lines(_worst_nodes(parameters, hours, prices), use, replace(prices, spot={}))


def expected_hours(parameters: RunParameters, workload: Workload) -> float:
    """The work's part of the cluster's life in hours, at the rates above; one core is the driver's."""
    seconds = START_SECONDS + step_seconds(parameters, workload) + END_SECONDS
    return seconds / 3600


def step_seconds(parameters: RunParameters, workload: Workload) -> float:
    """The steps together, in seconds."""
    solver = SPARK_SOLVER_SECONDS if parameters.solver == "spark" else 0.0
    return (
        workload.steps * STEP_SECONDS + core_seconds(parameters, workload) / cores(parameters.fleet) + solver
    )


def cores(fleet: Fleet) -> int:
    """The vCPUs that work on the photos: all but the driver's."""
    return max(1, fleet.workers * price_list.vcpus(fleet.worker_type) - 1)


def core_seconds(parameters: RunParameters, workload: Workload) -> float:
    """What one core would need for the photos, in seconds."""
    return (
        workload.images / images_per_core_second(parameters)
        + workload.image_bytes / DECODED_BYTES_PER_CORE_SECOND
        + workload.rows / REDUCED_ROWS_PER_CORE_SECOND
    )


def images_per_core_second(parameters: RunParameters) -> float:
    """The model's own rate for the run's engine and image size."""
    return IMAGES_PER_CORE_SECOND[parameters.engine] / SHARE_OF_224[parameters.image_size]


def s3_use(
    parameters: RunParameters,
    workload: Workload,
    hours: float,
    attempts: int = 1,
    workers: int | None = None,
) -> S3Use:
    """Requests and storage from the counts alone, when Spark tries each task ``attempts`` times.

    ``workers`` are those asked for, where no other number is given.
    """
    nodes = (workers or parameters.fleet.workers) + 1
    files = TABLES * math.ceil(workload.rows / IMAGES_PER_FILE)
    listed = math.ceil((workload.rows + workload.ignored) / LIST_PAGE)
    logged = nodes * hours * LOG_PUTS_PER_NODE_HOUR
    read = workload.images * READS_PER_IMAGE[parameters.reader]
    row = FEATURE_BYTES + parameters.components * 4 + 3 * ROW_BYTES
    return S3Use(
        puts=listed + PUTS_PER_RUN + logged + attempts * files * PUTS_PER_FILE,
        gets=nodes * GETS_PER_NODE + attempts * (read + files * GETS_PER_FILE),
        gb_months=STORAGE_MONTHS * (workload.rows * row / 1e9 + RUN_GB),
    )


def _expected_nodes(parameters: RunParameters, hours: float) -> list[NodeUse]:
    fleet = parameters.fleet
    return _nodes(parameters, hours, parameters.primary_type, fleet.worker_type, fleet.workers)


def _worst_nodes(parameters: RunParameters, hours: float, prices: Prices) -> list[NodeUse]:
    primary = _dearest(fleets.primary_types(parameters), prices)
    worker = _dearest(fleets.worker_types(parameters), prices)
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


def fits(
    parameters: RunParameters, workload: Workload, prices: Prices, budget_usd: float
) -> dict[str, float]:
    """What to lower a parameter to, alone, for the worst case to fit; one that cannot is left out."""

    def worst(**changed: float) -> float:
        return total_usd(worst_lines(parameters.model_copy(update=changed), workload, prices))

    suggestions: dict[str, float] = {}
    tenths = [hours / 10 for hours in range(1, math.ceil(parameters.max_hours * 10))]
    least = parameters.fleet.workers if parameters.scales else 1
    count = "max_workers" if parameters.scales else "workers"
    for name, values in (("max_hours", tenths), (count, list(range(least, parameters.most_workers)))):
        fitting = [value for value in values if worst(**{name: value}) <= budget_usd]
        if fitting:
            suggestions[name] = max(fitting)
    return suggestions
