"""Photos come, change and go in a bucket that Airflow watches; what came of it, in figures.

One drop of many photos; a second one of three bursts, overwritten photos and deleted ones; and a run by
hand after it, which finds nothing new.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from fruit_contract.layout import INPUT_PREFIX, RunLayout, run_key
from fruit_contract.report_schema import Report
from fruit_pipeline.cluster.identity import LIVE_STATES
from fruit_pipeline.results.publication import read_json
from fruit_pipeline.upload.folder import Folder, ImagesError, Photo, read_folder
from fruit_pipeline.upload.uploading import Summary, send
from local_run import results
from local_run.airflow_server import AirflowError
from local_run.follow import follow
from local_run.pace import Pace
from local_run.watching import FEATURES, Watching

BURSTS: Final = 3
BY_HAND: Final = "by-hand"
_QUIET_SECONDS: Final = 12.0


def in_a_hurry(pace: Pace) -> dict[str, str]:
    """Airflow's settings: a drop is over after 12 quiet seconds, more where Airflow hears more slowly."""
    minutes = pace.seconds(_QUIET_SECONDS) / 60
    return {"FRUITS_DROP_POLL_SECONDS": "1", "FRUITS_DROP_QUIET_MINUTES": f"{minutes:.2f}"}


@dataclass(frozen=True)
class Script:
    """How many photos come, change and go."""

    first: int = 300
    more: int = 50
    overwritten: int = 5
    deleted: int = 10

    @property
    def photos(self) -> int:
        """How many different photos it takes."""
        return self.first + self.more + self.overwritten


@dataclass(frozen=True)
class Figure:
    """A number that was measured, and what it should be."""

    what: str
    expected: int
    found: int


def choose(folder: Path, script: Script) -> list[Photo]:
    """As many photos as the script takes, from all over the folder; ``ImagesError`` where it has fewer."""
    photos = read_folder(folder, INPUT_PREFIX).without_empty().photos
    if len(photos) < script.photos:
        raise ImagesError(
            f"The folder {str(folder)!r} has {len(photos)} photos, and the drops take {script.photos}: "
            "name a larger one."
        )
    return photos[:: len(photos) // script.photos][: script.photos]


def rehearse(
    system: Watching, photos: Sequence[Photo], script: Script, out: Path, console: Console
) -> list[Figure]:
    """Play the script, leave the result in ``out/latest``, and measure. ``AirflowError`` when a run fails."""
    bucket = system.stack.deployment.bucket
    first, more = photos[: script.first], photos[script.first : script.first + script.more]
    others = photos[script.first + script.more :]
    kept = len(first) - script.deleted
    overwritten = [
        Photo(other.path, photo.key, other.size) for photo, other in zip(first[:kept], others, strict=False)
    ]

    console.print(f"[bold]{script.first} photos are dropped[/]")
    _upload(system, first, console)
    one = _started_by_drop(system, 1, console)
    system.until_idle()

    console.print(
        f"[bold]{script.more} more in {BURSTS} bursts, {script.overwritten} overwritten, "
        f"{script.deleted} deleted[/]"
    )
    for start in range(BURSTS):
        system.until_heard(lambda burst=more[start::BURSTS]: _upload(system, burst, console))  # type: ignore[misc]
    _upload(system, overwritten, console)
    gone = [{"Key": photo.key} for photo in first[kept:]]
    system.s3.delete_objects(Bucket=bucket, Delete={"Objects": gone, "Quiet": True})
    two = _started_by_drop(system, 2, console)
    system.until_idle()

    console.print("[bold]Nothing is uploaded; a run is started by hand[/]")
    before = len(system.clusters())
    system.api.trigger(FEATURES, BY_HAND, {})
    _follow(system, BY_HAND, console)
    system.until_idle()
    results.fetch(system.s3, RunLayout(bucket, run_key(BY_HAND)), out)

    after = system.clusters()
    drops = [run for run in system.runs(FEATURES) if run["run_type"] == "asset_triggered"]
    counted = _report(system, two)["images"]
    return [
        Figure("runs of fruit_features that drops started", 2, len(drops)),
        Figure("photos featurized in the first", script.first, _featurized(system, one)),
        Figure("photos featurized in the second", script.more + script.overwritten, _featurized(system, two)),
        Figure("of these overwritten ones", script.overwritten, counted["changed"]),
        Figure("photos deleted in the second", script.deleted, counted["deleted"]),
        Figure("rows at the end", script.first + script.more - script.deleted, _rows(out)),
        Figure("clusters that the run by hand created", 0, len(after) - before),
        Figure("clusters left", 0, sum(each["Status"]["State"] in LIVE_STATES for each in after)),
    ]


def show(figures: Sequence[Figure], console: Console) -> None:
    table = Table("", "expected", "found", title="Drops of photos", title_justify="left")
    for figure in figures:
        style = "green" if figure.found == figure.expected else "bold red"
        table.add_row(figure.what, str(figure.expected), f"[{style}]{figure.found}[/]")
    console.print(table)


def problems(figures: Sequence[Figure]) -> list[str]:
    """A sentence for each figure that is not as it should be."""
    return [
        f"{figure.what.capitalize()}: {figure.found}, not {figure.expected}."
        for figure in figures
        if figure.found != figure.expected
    ]


def _upload(system: Watching, photos: Sequence[Photo], console: Console) -> None:
    summary, bucket = Summary(), system.stack.deployment.bucket
    send(system.s3, Folder(list(photos), []), bucket, INPUT_PREFIX, console, summary)
    if summary.uploaded != len(photos):
        raise ImagesError(
            f"{len(photos) - summary.uploaded} of {len(photos)} photos were not uploaded, for they cannot be "
            "read or are the same as others: name a folder of different photos."
        )


def _started_by_drop(system: Watching, number: int, console: Console) -> RunLayout:
    """Follow the run that is the ``number``-th of fruit_features to its end."""
    run = system.until_started(number)[number - 1]
    _follow(system, run["dag_run_id"], console)
    console.print(f"  {system.api.run(FEATURES, run['dag_run_id'])['note']}", highlight=False)
    return RunLayout(system.stack.deployment.bucket, run_key(run["dag_run_id"]))


def _follow(system: Watching, run_id: str, console: Console) -> None:
    state = follow(system.api, FEATURES, run_id, system.stack.children, console)
    if state != "success":
        raise AirflowError(f"The run {run_id} {state}: see {system.stack.airflow.home / 'logs'}.")


def _report(system: Watching, run: RunLayout) -> Report:
    report: Report | None = read_json(system.s3, run.bucket, run.report)
    if report is None:
        raise AirflowError(f"The run left no {run.report}: see {system.stack.airflow.home / 'logs'}.")
    return report


def _featurized(system: Watching, run: RunLayout) -> int:
    metrics = read_json(system.s3, run.bucket, run.featurize_metrics)
    return int(metrics["processed"] + metrics["rejected"]) if metrics else 0


def _rows(out: Path) -> int:
    return sum(pq.read_metadata(file).num_rows for file in (out / "latest" / "pca_output").glob("*.parquet"))
