"""``python -m evidence.scale_page``: docs/evidence/scale.md, the estimate of a run for more photos."""

from collections.abc import Iterator
from typing import Final

from evidence import marked_text
from fruit_pipeline.cost import prices, speeds
from fruit_pipeline.cost.estimate import Workload, estimate, images_per_core_second
from fruit_pipeline.cost.invoice import total_usd
from fruit_pipeline.settings.instance_types import OFFERED_TYPES
from fruit_pipeline.settings.parameters import RunParameters

PAGE: Final = marked_text.EVIDENCE / "scale.md"
IMAGES: Final = (87_000, 1_000_000, 10_000_000)
WORKERS: Final = (2, 5, 10, 20, 50, 100)
PHOTO_BYTES: Final = 6_000
"""Of a photo of Fruits-360."""


def lines() -> Iterator[str]:
    """The assumptions, and for each number of photos a table by the number of workers."""
    run = RunParameters(region="eu-west-1", spot="on-demand", worker_type="m6g.xlarge")
    known = _prices(run)
    photos, start, end = images_per_core_second(run), speeds.START_SECONDS, speeds.END_SECONDS
    yield f"- A core computes {photos:.0f} photos a second: {speeds.GRAVITON_SHARE:g} of a measured x86 core."
    yield f"- {start:.0f} s pass before the first step, and {end:.0f} s after the last one."
    yield f"- Each step takes {speeds.STEP_SECONDS:.0f} s to start."
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
