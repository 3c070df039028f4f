"""What a run leaves: its files under ``out/latest``, and its report for the eye."""

import json
import shutil
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fruit_contract.layout import RunLayout
from fruit_contract.report import Report


def fetch(s3: Any, layout: RunLayout, out: Path) -> Report | None:
    """Replace ``out/latest`` by the run's files; return its report, or None where it left none."""
    half = out / ".incoming"
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for prefix, folder in (
        (layout.reports, half),
        (layout.pca_output, half / "pca_output"),
        (layout.rejected, half / "rejected"),
    ):
        _download(s3, layout.bucket, prefix, folder)
    latest = out / "latest"
    shutil.rmtree(latest, ignore_errors=True)
    half.rename(latest)
    report = latest / "report.json"
    return json.loads(report.read_text()) if report.exists() else None


def _download(s3: Any, bucket: str, prefix: str, folder: Path) -> None:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            name = entry["Key"].removeprefix(prefix)
            if name and not name.endswith("/"):
                folder.mkdir(exist_ok=True)
                s3.download_file(bucket, entry["Key"], str(folder / Path(name).name))


def problems(report: Report) -> list[str]:
    """What is not right about a run that Airflow calls successful, a sentence each."""
    images, found = report["images"], []
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
    table.add_row(
        "images", ", ".join(f"{images[name]} {name}" for name in ("found", "processed", "rejected"))
    )
    if model:
        table.add_row(
            "model",
            f"{model['name']} ({model['weights']}), {model['image_size']} px, {model['engine']}, "
            f"{model['precision']}",
        )
    if report["images_per_second"]:
        table.add_row(
            "speed", f"{report['images_per_second']:.0f} images/s, {report['model_loads']} model loads"
        )
    if report["explained_variance"] is not None:
        table.add_row("PCA", f"{report['components']} components keep {report['explained_variance']:.1%}")
    table.add_row("cluster", f"{cluster['id']} {cluster['release']} {cluster['final_state']}")
    if cost["estimate"] is not None:
        actual = f", this run at most {cost['actual']:.3f}" if cost["actual"] is not None else ""
        table.add_row("cost", f"worst case {cost['estimate']:.2f} {cost['currency']}{actual}")
    for task in report["tasks"]:
        seconds = "" if task["seconds"] is None else f"{task['seconds']:6.1f} s  "
        table.add_row(task["name"], f"{seconds}{task['state']}")
    console.print(table)
