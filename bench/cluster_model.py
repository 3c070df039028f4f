"""Time and cost of a run on a cluster, from rates measured on one core. Arithmetic alone, no measuring.

A run is: start the cluster, featurize, reduce, end. What shares out over the cores shrinks with the
workers; what does not is constant.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.spark_process import CORES
from fruit_contract.partitions import image_partitions


@dataclass(frozen=True)
class Rates:
    """What was measured here, by one core and second, or in seconds."""

    images: float
    """Images a core featurizes, in the stage."""
    step: float
    """Seconds of the featurize step outside its stage: Spark's start, the broadcast, the end."""
    fit_rows: float
    """Feature vectors a core adds to the moments of the PCA."""
    solve: float
    """Seconds of a fit that do not depend on the rows: the merge and the decomposition."""
    project_rows: float
    """Feature vectors a core projects and writes."""


@dataclass(frozen=True)
class Assumptions:
    """What is not measured here; each is stated in the page."""

    relative_speed: float
    """A worker's core against a core here."""
    start: float
    """Seconds from the request for the cluster to its first step."""
    submit: float
    """Seconds to submit a step and ship its runtime, beside what was measured; for each of two."""
    end: float
    """Seconds from the last step to the end of the instances."""


@dataclass(frozen=True)
class Cluster:
    """One primary node and workers of one kind; USD an hour for each, EC2 on demand, EMR and disk."""

    workers: int
    cores: int
    """Of the workers, without the driver's."""
    worker_usd: float
    primary_usd: float


@dataclass(frozen=True)
class Forecast:
    """Seconds of each step and of the cluster's whole life, and USD."""

    featurize: float
    reduce: float
    life: float
    usd: float


def rates_of(results: Mapping[str, Any]) -> Rates:
    """The rates in the benchmark's results; ``ValueError`` where more rows took no longer."""
    featurized, reduced = results["featurize"], results["reduce"]
    stage = median(run["stage_seconds"] for run in featurized["ours"])
    whole = median(run["seconds"] for run in featurized["ours"])
    rows, fit, quarter = reduced["rows"], median(reduced["fit"]["ours"]), median(reduced["fit"]["quarter"])
    if fit <= quarter:
        raise ValueError(
            f"A fit of {rows:,} rows took {fit:.2f} s, of a quarter {quarter:.2f} s: measure again."
        )
    seconds_a_row = (fit - quarter) / (rows - rows // 4)
    return Rates(
        images=featurized["photos"] / stage / CORES,
        step=whole - stage,
        fit_rows=1 / seconds_a_row / CORES,
        solve=max(0.0, fit - seconds_a_row * rows),
        project_rows=rows / median(reduced["transform"]["ours"]) / CORES,
    )


def forecast(images: int, cluster: Cluster, rates: Rates, assumed: Assumptions) -> Forecast:
    """A run with no failure and no wait for capacity.

    The work is cut as the step cuts it: the last round of tasks leaves cores idle, and counts in full.
    """
    tasks = image_partitions(images, cluster.cores)
    rounds = math.ceil(tasks / cluster.cores)
    featurize = (
        assumed.submit + rates.step + rounds * images / tasks / (rates.images * assumed.relative_speed)
    )
    a_row = (1 / rates.fit_rows + 1 / rates.project_rows) / assumed.relative_speed
    reduce = (
        assumed.submit + rates.step + rates.solve / assumed.relative_speed + images * a_row / cluster.cores
    )
    life = assumed.start + featurize + reduce + assumed.end
    usd = (cluster.workers * cluster.worker_usd + cluster.primary_usd) * life / 3600
    return Forecast(featurize, reduce, life, usd)
