"""A result, opened: its rows, which are not yet read, and the small documents beside them."""

import json
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from exploring.photos import Photos
from exploring.places import ExploringError, Places, opening, places_of
from fruit_contract.classifier import TrainMetrics
from fruit_contract.layout import INPUT_PREFIX, REPORT_NAME, run_key
from fruit_contract.report_schema import Report
from fruit_contract.run_summary import RunSummary
from fruit_pipeline.results import run_index

_TRAINED: Final = "train.json"


@dataclass(frozen=True)
class Result:
    """What :func:`open_result` gives."""

    address: str
    rows: Any
    """``pyarrow.dataset.Dataset`` of path, label, features (list of float32). DuckDB reads it by its name."""
    rejected: Any
    """The same of path and reason."""
    variance: npt.NDArray[np.float64]
    """[k]: each component's share of the variance, as the PCA model has it."""
    report: Report
    """Of the run that made the result, or that last found it unchanged."""
    runs: list[RunSummary]
    """Every run of the bucket, the newest first; of a folder its own alone."""
    trained: TrainMetrics | None
    """How the current classifier was judged; None where it was not."""
    not_judged: str
    """Why, in one sentence."""
    photos: Photos


def open_result(address: str, photos: str = "") -> Result:
    """Open the current result of ``address``, a folder or ``s3://bucket``.

    Relative folders are the repository's. ``photos`` is a pattern of folders with the photos of a result
    that lies in a folder; those of a bucket are in it. ``ExploringError`` where there is nothing to open.
    """
    with opening(address):
        return _opened(address, photos)


def _opened(address: str, photos: str) -> Result:
    places = places_of(address)
    report: Report | None = _json(places, places.reports, REPORT_NAME)
    if report is None:
        raise ExploringError(f"{address} has no {REPORT_NAME}: start a run, whose last task writes it.")
    trained, not_judged = _judgement(places, report)
    return Result(
        address=address,
        rows=ds.dataset(places.pca_output, filesystem=places.store, format="parquet"),
        rejected=ds.dataset(places.rejected, filesystem=places.store, format="parquet"),
        variance=_variance(places),
        report=report,
        runs=_runs(places, report),
        trained=trained,
        not_judged=not_judged,
        photos=Photos(places.s3, photos, str(report["parameters"].get("input_prefix", INPUT_PREFIX))),
    )


def _variance(places: Places) -> npt.NDArray[np.float64]:
    # The report of a run that found nothing new has none.
    models = pq.read_table(places.pca_model, filesystem=places.store, columns=["explainedVariance"])
    [model] = models.column("explainedVariance").to_pylist()
    return np.asarray(model["values"], np.float64)


def _judgement(places: Places, report: Report) -> tuple[TrainMetrics | None, str]:
    trained: TrainMetrics | None = _json(places, places.judgements, _TRAINED)
    by = report.get("classifier_run")
    refused = trained is not None and trained["gate"] is not None and not trained["gate"]["passed"]
    if by and (trained is None or trained["skipped"] or refused):
        return None, f"The run {by} trained the current classifier, and its reports lie in its bucket alone."
    if trained is None:
        return None, f"{places.address} has no classifier: start a run without classifier=none."
    if trained["skipped"]:
        return None, f"No classifier was trained: {trained['skipped']}"
    if trained["judged"] is None:
        return None, "The classifier was not judged: no label has photos that could be held out."
    return trained, ""


def _runs(places: Places, report: Report) -> list[RunSummary]:
    if places.s3 is None:
        return [run_index.summary(report, run_key(report["run_id"]))]
    return run_index.read(places.s3, report["bucket"])


def _json(places: Places, folder: str, name: str) -> Any | None:
    file = f"{folder}/{name}"
    if places.store.get_file_info(file).type is fs.FileType.NotFound:
        return None
    with places.store.open_input_stream(file) as stream:
        return json.loads(stream.read())
