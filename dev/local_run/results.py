"""What a run leaves: its files under ``out/latest``, and its report for the eye."""

import json
import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from fruit_contract.classifier import TrainMetrics
from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import Report, Sizing, Timing
from fruit_contract.variance import is_share
from fruit_pipeline.pages.judgement import split_name
from fruit_pipeline.results.publication import read_pointer
from local_run.bucket_sync import IN_FLIGHT

LATEST: Final = "latest"
FAILED: Final = "failed"


def fetch(s3: Any, layout: RunLayout, out: Path) -> Report | None:
    """Replace ``out/latest`` by the run's files; return its report, or None where it left none.

    Where nothing was new, its result is the one that stays current. A failed run has none, so that the one in
    ``out/latest`` stays too: what the run left goes to ``out/failed``.
    """
    half = out / ".incoming"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    _download(s3, layout.bucket, layout.reports, half)
    written = half / "report.json"
    report: Report | None = json.loads(written.read_text()) if written.exists() else None
    if report is None or report["state"] != "success":
        return _moved(half, out / FAILED, report)
    result = layout
    if report and report["nothing_new"]:
        result = RunLayout(layout.bucket, read_pointer(s3, layout.bucket).published[0])
        _download(s3, layout.bucket, result.variance_plot, half)
    folders = {
        "pca_output": result.pca_output,
        "pca_model/data": f"{result.pca_model}data/",
        "rejected": result.rejected,
    }
    if report and (trained_by := report.get("classifier_run")):
        folders["classifier"] = RunLayout(layout.bucket, trained_by).classifier
    for name, prefix in folders.items():
        _download(s3, layout.bucket, prefix, half / name)
    return _moved(half, out / LATEST, report)


def folder_of(report: Report) -> str:
    """Where :func:`fetch` has put what the run left."""
    return LATEST if report["state"] == "success" else FAILED


def _moved(half: Path, target: Path, report: Report | None) -> Report | None:
    shutil.rmtree(target, ignore_errors=True)
    half.rename(target)
    return report


def _download(s3: Any, bucket: str, prefix: str, folder: Path) -> None:
    above = len(prefix.rpartition("/")[0]) + 1

    def get(key: str) -> None:
        file = folder / key[above:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    with ThreadPoolExecutor(IN_FLIGHT) as several:
        list(several.map(get, (key for key in keys if not key.endswith("/"))))


def problems(report: Report) -> list[str]:
    """What is not right about a run that Airflow calls successful, a sentence each."""
    images, found = report["images"], list[str]()
    if report["nothing_new"]:
        return found
    if images["found"] != images["processed"] + images["rejected"]:
        found.append(
            f"{images['found']} images were found, but {images['processed']} processed and "
            f"{images['rejected']} rejected."
        )
    if report["cluster"]["final_state"] != "TERMINATED":
        found.append(f"The cluster ended as {report['cluster']['final_state']}, not TERMINATED.")
    return found


def show(report: Report, console: Console) -> None:
    """The report as a small table."""
    images, model, cluster, cost = report["images"], report["model"], report["cluster"], report["cost"]
    table = Table(title=f"{report['run_id']}: {report['state']}", show_header=False, title_justify="left")
    table.add_row("photos", _counted(images, "found", "new", "changed", "deleted", "reused"))
    if report["nothing_new"]:
        table.add_row("nothing is new", "no cluster was created; the current result stays")
    else:
        table.add_row("result", _counted(images, "processed", "rejected"))
    if model:
        table.add_row(
            "model",
            f"{model['name']} ({model['weights']}), {model['image_size']} px, {model['engine']}, "
            f"{model['precision']}",
        )
    if report["images_per_second"]:
        per_core = report["images_per_second_per_core"] or 0.0
        table.add_row(
            "speed",
            f"{report['images_per_second']:.0f} images/s, {per_core:.1f} a core, "
            f"{report['model_loads']} model loads",
        )
    if report["explained_variance"] is not None:
        table.add_row("PCA", _components(report, report["explained_variance"]))
    if report["classifier"]:
        table.add_row("classifier", _classifier(report["classifier"]))
    if not report["nothing_new"]:
        table.add_row("cluster", f"{cluster['id']} {cluster['release']} {cluster['final_state']}")
    if report["sizing"]:
        table.add_row("fleet", _fleet(report["sizing"]))
    if cost["estimate"] is not None:
        actual = f", this run at most {cost['actual']:.3f}" if cost["actual"] is not None else ""
        table.add_row(
            "cost",
            f"worst case {cost['estimate']:.2f} {cost['currency']}, expected {cost['expected']:.3f}{actual}",
        )
    table.add_section()
    for task in report["tasks"]:
        parts = (
            _seconds("at", task["started_after"]),
            _seconds("waited", task["waited"]),
            _seconds("took", task["seconds"]),
        )
        table.add_row(task["name"], "  ".join((*parts, task["state"])))
    table.add_section()
    for name, words in _timing(report["timing"]):
        table.add_row(name, words)
    console.print(table)


def _counted(counts: Mapping[str, Any], *names: str) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in names)


def _components(report: Report, kept: float) -> str:
    """How many there are and what share they keep, and the share that was asked for in place of a number."""
    asked = report["parameters"].get("components")
    if not isinstance(asked, float) or not is_share(asked):
        return f"{report['components']} components keep {kept:.1%}"
    # As many digits as were typed: 0.9995 is not 100.0%.
    share = f"{round(100 * asked, 6):g}%"
    return f"{report['components']} components, the fewest that keep {share}: they keep {kept:.1%}"


def _classifier(trained: TrainMetrics) -> str:
    """How good it is, or why there is none."""
    if trained["skipped"]:
        return f"none: {trained['skipped']}"
    judged, gate = trained["judged"] or trained["by_hash"], trained["gate"]
    good = f"{judged['top1']:.1%} of labels right {split_name(judged['split'])}" if judged else "not judged"
    refused = f"; it does not become the current one: {gate['reason']}" if gate and not gate["passed"] else ""
    return f"{trained['kind']}, {good}{refused}"


def _fleet(sizing: Sizing) -> str:
    chosen, actual = sizing["chosen"], sizing["actual_minutes"]
    how = "chosen" if sizing["automatic"] else "given"
    lived = "" if actual is None else f", was {actual:.1f}"
    return (
        f"{chosen['workers']} {chosen['worker_type']} ({how}), "
        f"expected on EMR {sizing['expected_minutes']:.1f} minutes{lived}"
    )


def _timing(timing: Timing) -> Iterator[tuple[str, str]]:
    """What of the run was spent on the cluster and around its steps."""
    yield "to the cluster", _seconds("", timing["to_cluster"])
    yield "provisioning", _seconds("", timing["provisioning"])
    yield "to the first step", _seconds("", timing["to_first_step"])
    for step in timing["steps"]:
        queued, noticed = _seconds("queued", step["queued"]), _seconds("noticed after", step["noticed_after"])
        yield f"step {step['name']}", f"{_seconds('', step['seconds'])}  {queued}  {noticed}"
    yield "last step to end", _seconds("", timing["after_last_step"])
    if timing["idle"] is not None:
        yield "cores without a task", f"{timing['idle']:.0%} of the steps' time"


def _seconds(word: str, seconds: float | None) -> str:
    """Seconds in a column of their own, a dash for what did not happen."""
    figure = "     -  " if seconds is None else f"{seconds:6.1f} s"
    return f"{word} {figure}" if word else figure
