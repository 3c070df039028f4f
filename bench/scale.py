"""``python -m bench.scale``: docs/scale.md, from the benchmark's results and the list prices."""

import argparse
import json
import sys
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.__main__ import DOCS, RESULTS
from bench.cluster_model import Assumptions, Cluster, Rates, forecast, rates_of
from fruit_pipeline import rates as shared
from fruit_pipeline.prices import (
    HOURS_PER_MONTH,
    ebs_gb,
    snapshot_date,
    snapshot_ebs,
    snapshot_emr_fee,
    snapshot_on_demand,
    vcpus,
)

IMAGES: Final = (87_000, 1_000_000, 10_000_000)
WORKERS: Final = (2, 5, 10, 20, 50, 100)
REGION: Final = "eu-west-1"
PRIMARY_TYPE: Final = "m6g.xlarge"
WORKER_TYPE: Final = "m6g.large"
ASSUMED: Final = Assumptions(
    relative_speed=shared.GRAVITON_SHARE,
    start=shared.START_SECONDS,
    submit=shared.STEP_SECONDS,
    end=shared.END_SECONDS,
)


def usd_per_hour(instance_type: str) -> float:
    """EC2 on demand, the EMR fee and the node's disk."""
    on_demand = snapshot_on_demand(REGION, [instance_type])
    fee, ebs = snapshot_emr_fee(on_demand), snapshot_ebs(REGION)
    if ebs is None:
        raise ValueError(f"The price snapshot has no EBS price of {REGION}: add it.")
    return on_demand[instance_type] + fee[instance_type] + ebs * ebs_gb(instance_type) / HOURS_PER_MONTH


def markdown(results: dict[str, Any]) -> str:
    rates = rates_of(results)
    parts = [_INTRODUCTION, _measured(rates, results["machine"]), _shape(results), _assumptions(rates)]
    parts += [_table(images, rates) for images in IMAGES]
    return "\n".join([*parts, _READING])


_INTRODUCTION: Final = """\
# Scale: time and cost of larger runs

Written by `python -m bench.scale` from the benchmark's results ([performance.md](performance.md)) and the
list prices; nothing here is typed by hand. It is a model: no cluster of this size was started for it.
"""

_READING: Final = """\
## What it shows

- Featurizing shares out over the cores; starting and ending the cluster does not. Beyond the point where
  a run is mostly start-up, more workers only cost more.
- The memory of a worker does not grow with the images (performance.md), nor does the driver's with the
  partitions.
- What only a large run has is left out: nodes lost on the way. A lost task costs at most its own images
  (about 1,000), and a step that is run again goes on where it stopped.
"""


def _assumptions(rates: Rates) -> str:
    requests = rates.images * ASSUMED.relative_speed * _cluster(WORKERS[-1]).cores
    return f"""\
## Assumed

- A vCPU of {WORKER_TYPE} (Neoverse N1, 128-bit SIMD, 2.5 GHz) does {ASSUMED.relative_speed:g} of what a core
  does here. It was not measured; the time in the steps is in inverse proportion to it.
- {ASSUMED.start:.0f} s from the request for the cluster to its first step, {ASSUMED.submit:.0f} s to submit
  each of two steps, {ASSUMED.end:.0f} s from the last step to the end of the instances.
- One core of the workers is the driver's. No node is lost and no capacity is waited for.
- Reading from S3 is hidden behind the model, as measured at 20 ms a request. {WORKERS[-1]} workers send
  {requests:,.0f} GETs a second; S3 documents 5,500 for each prefix, and labels are prefixes.
- EC2 and EMR at list prices of {snapshot_date()} for {REGION}, on demand, one {PRIMARY_TYPE} primary,
  {ebs_gb(WORKER_TYPE)} GB of gp3 a worker. Spot is cheaper; requests and storage of S3 are not in it.
"""


def _measured(rates: Rates, machine: dict[str, str]) -> str:
    rows = (
        ("images featurized, by a core a second", rates.images),
        ("a step outside its stage, s", rates.step),
        ("vectors in the PCA's fit, by a core a second", rates.fit_rows),
        ("merge and decomposition, s", rates.solve),
        ("vectors projected and written, by a core a second", rates.project_rows),
    )
    lines = [f"| {name} | {value:,.1f} |" for name, value in rows]
    return "\n".join(["## Measured", "", f"On {machine['processor']}.", "", "| | |", "|---|---|", *lines, ""])


def _shape(results: dict[str, Any]) -> str:
    """The one thing of the model that a single machine can check: the stage shrinks with the executors."""
    measured, cores = results["executors"], int(results["machine"]["cores"])
    rates = {int(count): median(found) for count, found in measured["images_per_second"].items()}
    model = {count: rates[1] * min(count, cores) for count in rates}
    rows = [
        f"| {count} | {rate:,.0f} | {model[count]:,.0f} | {rate / model[count]:.2f} |"
        for count, rate in rates.items()
    ]
    return "\n".join(
        [
            "## Its shape, checked",
            "",
            f"Executors of one core on `local-cluster`, {measured['photos']:,} photos, the stage alone. The",
            f"model: executors share the work out evenly, and this machine has {cores} cores for them.",
            "",
            "| executors | measured, images/s | model, images/s | measured of it |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _table(images: int, rates: Rates) -> str:
    lines = [
        f"## {images:,} images",
        "",
        "| workers | featurize | reduce | cluster's life | USD |",
        "|---|---|---|---|---|",
    ]
    for workers in WORKERS:
        found = forecast(images, _cluster(workers), rates, ASSUMED)
        times = " | ".join(map(_time, (found.featurize, found.reduce, found.life)))
        lines.append(f"| {workers} | {times} | {found.usd:.2f} |")
    return "\n".join([*lines, ""])


def _cluster(workers: int) -> Cluster:
    cores = shared.working_cores(workers, vcpus(WORKER_TYPE))
    return Cluster(workers, cores, usd_per_hour(WORKER_TYPE), usd_per_hour(PRIMARY_TYPE))


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.scale", description=__doc__, allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=RESULTS, help="JSON of `python -m bench`")
    parser.add_argument("--output", type=Path, default=DOCS / "scale.md")
    given = parser.parse_args()
    if not given.results.exists():
        print(f"error: There are no results at {given.results}: run `make bench` first.", file=sys.stderr)
        return 1
    given.output.write_text(markdown(json.loads(given.results.read_text())))
    print(f"The page is {given.output}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
