"""What a run will cost, before anything is created: at worst, and as expected.

The worst case has every node at its bid for the hard lifetime, and every S3 request repeated as
often as Spark tries a task. The expected one has the hours that the photos need at measured rates.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

from fruit_contract.partitions import image_partitions, output_partitions
from fruit_pipeline import prices as price_list
from fruit_pipeline.invoice import ON_DEMAND, SPOT, CostLine, NodeUse, S3Use, invoice_lines, total_usd
from fruit_pipeline.parameters import Fleet, RunParameters
from fruit_pipeline.prices import PriceError, Prices
from fruit_pipeline.rates import (
    DECODED_BYTES_PER_CORE_SECOND,
    END_SECONDS,
    GRAVITON_SHARE,
    IMAGES_PER_CORE_SECOND,
    OVERTIME_SECONDS,
    REDUCED_ROWS_PER_CORE_SECOND,
    SHARE_OF_224,
    SPARK_SOLVER_SECONDS,
    START_SECONDS,
    STEP_SECONDS,
    working_cores,
)

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
PUTS_PER_FILE: Final = {"fast": 3, "spark-image": 8}
"""At most, beside its parts: a task's file is one PUT, or the begin, last part and end of a multipart upload.
Spark's own writer, which Spark's image source needs, adds what S3A's magic committer keeps of each."""
GETS_PER_FILE: Final = 20
"""At most: a head, footer and columns, when each step and the verification read it."""
READINGS: Final = 6
"""How often the features are listed, by both steps together."""
PUTS_PER_RUN: Final = 100
"""Artifacts in parts, work list, rejected, metrics, plot, PCA model, pointer, report, commit markers."""
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
    image_bytes: int
    ignored: int = 0
    spent_usd: float = 0.0
    """What earlier clusters of the same run have cost: it counts in both sums."""

    def __post_init__(self) -> None:
        for name in ("images", "image_bytes", "ignored", "spent_usd"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0:
                raise PriceError(f"{name} is {value}: it must be a number, 0 or more.")


@dataclass(frozen=True)
class Estimate:
    """USD, line by line."""

    worst: list[CostLine]
    expected: list[CostLine]
    expected_hours: float
    """What the photos need, though ``max_hours`` may end the cluster before; it bounds the expected sum."""


def estimate(parameters: RunParameters, workload: Workload, prices: Prices) -> Estimate:
    """Both sums for a run; ``PriceError`` for no images, no hours, or a type without a price."""
    if workload.images == 0:
        raise PriceError(
            "There are no images to estimate a cost for: upload photos, or correct input_prefix."
        )
    needed = expected_hours(parameters, workload)
    hours = min(needed, parameters.max_hours)
    expected = invoice_lines(
        _nodes(parameters, hours), s3_use(parameters, workload, hours), _with_assumed_spot(prices)
    )
    return Estimate(
        worst=worst_lines(parameters, workload, prices),
        expected=expected + _spent(workload),
        expected_hours=needed,
    )


def worst_lines(parameters: RunParameters, workload: Workload, prices: Prices) -> list[CostLine]:
    """Every node for ``max_hours`` and the overtime at the on-demand price, which is also the Spot bid."""
    hours = parameters.max_hours + OVERTIME_SECONDS / 3600
    use = s3_use(parameters, workload, hours, attempts=TASK_ATTEMPTS)
    return invoice_lines(_nodes(parameters, hours), use, replace(prices, spot={})) + _spent(workload)


def _spent(workload: Workload) -> list[CostLine]:
    return [CostLine("Earlier clusters of this run", workload.spent_usd)] if workload.spent_usd else []


def expected_hours(parameters: RunParameters, workload: Workload) -> float:
    """The life of the cluster in hours, at the rates above; one core is the driver's."""
    seconds = START_SECONDS + step_seconds(parameters, workload) + END_SECONDS
    return seconds / 3600


def step_seconds(parameters: RunParameters, workload: Workload) -> float:
    """Both steps together, in seconds."""
    solver = SPARK_SOLVER_SECONDS / GRAVITON_SHARE if parameters.solver == "spark" else 0.0
    return 2 * STEP_SECONDS + core_seconds(parameters, workload) / cores(parameters.fleet) + solver


def cores(fleet: Fleet) -> int:
    """The vCPUs that work on the photos."""
    return working_cores(fleet.workers, price_list.vcpus(fleet.worker_type))


def core_seconds(parameters: RunParameters, workload: Workload) -> float:
    """What one core would need for the photos, in seconds."""
    beside_the_model = (
        workload.image_bytes / DECODED_BYTES_PER_CORE_SECOND + workload.images / REDUCED_ROWS_PER_CORE_SECOND
    )
    return workload.images / images_per_core_second(parameters) + beside_the_model / GRAVITON_SHARE


def images_per_core_second(parameters: RunParameters) -> float:
    """The model's own rate on Graviton for the run's engine and image size."""
    return GRAVITON_SHARE * IMAGES_PER_CORE_SECOND[parameters.engine] / SHARE_OF_224[parameters.image_size]


def s3_use(parameters: RunParameters, workload: Workload, hours: float, attempts: int = 1) -> S3Use:
    """Requests and storage from the counts alone, when Spark tries each task ``attempts`` times."""
    fleet, images = parameters.fleet, workload.images
    nodes, vcpus = fleet.workers + 1, fleet.workers * price_list.vcpus(fleet.worker_type)
    features, outputs = image_partitions(images, vcpus), output_partitions(images, vcpus)
    parts = images * (FEATURE_BYTES + parameters.components * 4 + 2 * ROW_BYTES) / PART_BYTES
    written = features * PUTS_PER_FILE[parameters.reader] + outputs * PUTS_PER_FILE["fast"] + parts
    listed = math.ceil((images + workload.ignored) / LIST_PAGE) + READINGS * math.ceil(features / LIST_PAGE)
    logged = nodes * hours * LOG_PUTS_PER_NODE_HOUR
    read = images * READS_PER_IMAGE[parameters.reader] + (features + outputs) * GETS_PER_FILE
    row = FEATURE_BYTES + parameters.components * 4 + 3 * ROW_BYTES
    return S3Use(
        puts=listed + PUTS_PER_RUN + logged + attempts * written,
        gets=nodes * GETS_PER_NODE + attempts * read,
        gb_months=STORAGE_MONTHS * (images * row / 1e9 + RUN_GB),
    )


def _nodes(parameters: RunParameters, hours: float) -> list[NodeUse]:
    market = ON_DEMAND if parameters.spot == "on-demand" else SPOT
    fleet = parameters.fleet
    types = [parameters.primary_type] + [fleet.worker_type] * fleet.workers
    return [NodeUse(instance_type, market, hours * 3600) for instance_type in types]


def _with_assumed_spot(prices: Prices) -> Prices:
    assumed = {name: ASSUMED_SPOT_SHARE * usd for name, usd in prices.on_demand.items()}
    return replace(prices, spot={**assumed, **prices.spot})


def fits(
    parameters: RunParameters, workload: Workload, prices: Prices, budget_usd: float
) -> dict[str, float]:
    """What to lower a parameter to, alone, for the worst case to fit; one that cannot is left out.

    Nothing is proposed that would end the cluster before the photos are expected to be done, or before
    it may still be starting.
    """

    def fitting(change: dict[str, float]) -> bool:
        changed = parameters.model_copy(update=change)
        return (
            changed.max_hours >= max(expected_hours(changed, workload), changed.max_start_minutes / 60)
            and total_usd(worst_lines(changed, workload, prices)) <= budget_usd
        )

    suggestions: dict[str, float] = {}
    tenths = [hours / 10 for hours in range(1, math.ceil(parameters.max_hours * 10))]
    for name, values in (("max_hours", tenths), ("workers", list(range(1, parameters.fleet.workers)))):
        found = [value for value in values if fitting({name: value})]
        if found:
            suggestions[name] = max(found)
    return suggestions
