"""``python -m evidence.scale_page``: docs/evidence/scale.md, the estimate of a run for more photos.

Beside it stands what ``make scale-measure`` has kept in scale.json.
"""

import json
import re
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any, Final

from evidence import marked_text
from fruit_pipeline.cost import prices, speeds
from fruit_pipeline.cost.estimate import Workload, estimate, images_per_core_second
from fruit_pipeline.cost.invoice import total_usd
from fruit_pipeline.cost.step_times import Workers, featurize_seconds, reduce_seconds
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from fruit_pipeline.settings.parameters import RunParameters

PAGE: Final = marked_text.EVIDENCE / "scale.md"
MEASURED: Final = marked_text.EVIDENCE / "scale.json"
PERFORMANCE: Final = marked_text.EVIDENCE / "performance.md"
CORES: Final = 2
"""Of the machine of the benchmark."""
GENERATED_BYTES: Final = 4_000
"""Of a photo of the benchmark."""
STAGE_IMAGES_PER_SECOND: Final = {1: 111.0, 2: 173.0, 4: 123.0}
"""By the number of executors with a core each, on a quiet machine: measured for the docs/scale.md that commit
da92d57 took away. Were work only shared out, the last one would be 0.56 of the model."""
IMAGES: Final = (87_000, 1_000_000, 10_000_000)
WORKERS: Final = (2, 5, 10, 20, 50, 100)
PHOTO_BYTES: Final = 6_000
"""Of a photo of Fruits-360."""


def lines() -> Iterator[str]:
    """The estimate, and then each part that was measured."""
    yield from _estimate()
    yield from _benchmark()
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))
    for part, table in (("airflow", _airflow), ("driver", _driver), ("speed", _model)):
        if part in measured:
            yield from table(measured[part])


def _benchmark() -> Iterator[str]:
    yield from ("", "## The model against the benchmark", "")
    rows = [
        (what, str(executors), f"{measured:.1f}", f"{model:.1f}", f"{measured / model:.2f}")
        for what, executors, measured, model in benchmarked()
    ]
    yield from marked_text.table(("photos", "executors", "measured, s", "model, s", "ratio"), rows)


def benchmarked() -> Iterator[tuple[str, int, float, float]]:
    """What, on how many executors, its measured seconds, and the model's: all of a quiet machine."""
    for executors, rate in STAGE_IMAGES_PER_SECOND.items():
        workers = Workers(executors, executors, CORES, speeds.RAW_IMAGES_PER_SECOND)
        step = featurize_seconds(workers, 1_000, 1_000 * GENERATED_BYTES, from_s3=False)
        yield "1,000, the stage", executors, 1_000 / rate, step - speeds.LAUNCH_SECONDS
    page = PERFORMANCE.read_text(encoding="utf-8")
    raw = _figure(page, "raw LiteRT, two processes, images/s") / CORES
    for photos in (5_000, 20_000):
        workers = Workers(1, CORES, CORES, raw)
        step = featurize_seconds(workers, photos, photos * GENERATED_BYTES, from_s3=False)
        yield f"{photos:,}, the step", 1, _figure(page, f"featurize, {photos:,} photos, s"), step


def _figure(page: str, name: str) -> float:
    (found,) = re.findall(rf"^\| {re.escape(name)} \| ([\d.]+) \|", page, re.M)
    return float(found)


def _airflow(measured: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## Tasks of Airflow over {measured['keys']:,} photos", "")
    rows = [
        (name, *(f"{found[figure]:.0f}" for figure in ("seconds", "cpu_seconds", "peak_mib")))
        for name, found in measured["tasks"].items()
    ]
    yield from marked_text.table(("task", "s", "s of its processor", "MiB at most"), rows)


def _driver(measured: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## Spark's driver, with a heap of {measured['heap_mib']} MiB", "")
    rows = [
        (
            f"{run['files']:,}",
            *(str(run[figure]) for figure in ("old_heap_mib", "jvm_mib", "python_mib")),
            str(run["jvm_mib"] + run["python_mib"]),
        )
        for run in measured["runs"]
    ]
    yield from marked_text.table(
        ("feature files", "MiB of old heap at most", "of Java", "of Python", "of both"), rows
    )


def _model(measured: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## The model against what was measured", "")
    yield f"{measured['photos']:,} photos and {measured['rows']:,} feature vectors in local files."
    yield "Executors have one core each. Medians."
    yield ""
    rows = [
        (step, str(executors), *(f"{value:.1f}" for value in values), f"{ratio:.2f}")
        for step, executors, *values, ratio in compared(measured)
    ]
    head = ("step", "executors", "cores there", "measured, s", "model, s", "ratio")
    yield from marked_text.table(head, rows)


def compared(measured: Mapping[str, Any]) -> Iterator[tuple[str, int, float, float, float, float]]:
    """Step, executors, and the medians of the cores there, the seconds, the model's, and their ratio."""
    photos = measured["photos"]
    for run in measured["runs"]:
        step, executors = run["step"], run["executors"]
        all_workers = [
            Workers(executors, executors, cores, raw)
            for cores, raw in zip(run["cores"], run["raw"], strict=True)
        ]
        if step == "featurize":
            image_bytes = photos * measured["photo_bytes"]
            model = [featurize_seconds(each, photos, image_bytes, from_s3=False) for each in all_workers]
        else:
            model = [reduce_seconds(each, measured["rows"]) for each in all_workers]
        ratios = [seconds / expected for seconds, expected in zip(run["seconds"], model, strict=True)]
        yield step, executors, *map(median, (run["cores"], run["seconds"], model, ratios))


def _estimate() -> Iterator[str]:
    """The assumptions, and for each number of photos a table by the number of workers."""
    run = RunParameters(region="eu-west-1", spot="on-demand", worker_type="m6g.xlarge")
    known = _prices(run)
    photos, start, end = images_per_core_second(run), speeds.START_SECONDS, speeds.END_SECONDS
    raw, of_x86 = speeds.GRAVITON_IMAGES_PER_SECOND, speeds.RAW_IMAGES_PER_SECOND
    yield f"- LiteRT alone computes {raw:.0f} photos a second on a core of Graviton2: an assumption."
    yield f"- It computed {of_x86:.0f} on the measured x86 core: all takes {of_x86 / raw:.1f} times as long."
    yield f"- From fetch to file these are {photos:.0f} photos a second."
    yield f"- {start:.0f} s pass before the first step, and {end:.0f} s after the last one."
    yield f"- Each step takes {speeds.STEP_SECONDS:.0f} s to be submitted, before Spark itself starts."
    yield f"- Prices are on demand, in {run.region}, of {known.date}: EC2, EMR, EBS and S3."
    yield f"- A photo has {PHOTO_BYTES:,} bytes."
    for images in IMAGES:
        rows = [_row(run, images, workers, known) for workers in WORKERS]
        yield from ("", f"## {images:,} photos", "")
        yield from marked_text.table(("workers", "cluster's life", "USD"), rows)


def _row(run: RunParameters, images: int, workers: int, known: prices.Prices) -> tuple[str, str, str]:
    # No lifetime: the page shows what the work needs.
    unlimited = run.model_copy(update={"workers": workers, "max_hours": 1e6})
    expected = estimate(unlimited, Workload(images, images * PHOTO_BYTES), known)
    minutes = round(60 * expected.expected_hours)
    return str(workers), f"{minutes // 60} h {minutes % 60:02d} min", f"{total_usd(expected.expected):.2f}"


def _prices(run: RunParameters) -> prices.Prices:
    """The snapshot's, so that the page is the same on every day."""
    on_demand = prices.snapshot_on_demand(run.region, OFFERED_TYPES)
    ebs, s3 = prices.snapshot_ebs(run.region), prices.snapshot_s3(run.region)
    assert ebs is not None
    assert s3 is not None
    return prices.Prices(
        region=run.region,
        source=prices.SNAPSHOT,
        date=prices.snapshot_date(),
        stale=False,
        on_demand=on_demand,
        emr_fee=prices.snapshot_emr_fee(on_demand),
        ebs_gb_month=ebs,
        s3=s3,
    )


if __name__ == "__main__":
    marked_text.write(PAGE, lines())
