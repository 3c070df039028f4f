"""docs/performance.md and its chart, from the results alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from bench.targets import Verdict, judge, ours_images_per_second, peer_images_per_second

Results = Mapping[str, Any]

_METHOD = """\
## How it is kept honest

- Every side gets the same photos, the same Spark (`{spark}`, `{master}`, the same configuration) and a fresh
  process. Its answer is checked first: a peer's features must have a cosine of at least 0.995 with ours
  for every photo and 0.999 on average (Pillow rounds otherwise than OpenCV), the readers must agree on
  every byte (CRC-32), the PCA models to 1e-9 in the variance, 1e-6 rad in the
  subspace and 1e-6 in the components. A side that disagrees has no time.
- Medians of {repeats}, in turn (raw, ours, a quarter, notebook, scalar, raw, ours, ...).
- Ours is timed from `spark-submit` to its end at all {photos:,} photos. Raw LiteRT is timed without start-up,
  on photos that are already decoded, resized and scaled, {raw:,} at a time: that favours it.
- The peers do fewer photos ({notebook:,} and {scalar:,}, and half of them), from `spark-submit` to the end,
  and are charged once what does not grow with the photos, and for each more photo what the difference of the
  two sizes says. The notebook repartitions to tasks of {notebook_task:,} photos and loads its model in each:
  {photos:,} photos would be 20 tasks, and published notebooks of this pattern have 16 to 24.
- Compute ratios read local files. Latency ratios read one S3 server on loopback
  (`bench/object_store.py`), which delays each request by a lognormal time of mean 20 ms, seeded by the
  request. Both readers list the prefix themselves.
- Growth (photos, latency) is judged by the stage's own time, without Spark's start-up, which would
  flatter it.
- pyspark.ml's PCA runs with Spark's default JVM; featurize and its peers run with
  `{java}`, as local AWS starts steps. Java maps Spark's classes from an archive, on
  every side (`artifacts/java_classes.py`): EMR has none, and starts a session some three seconds later.
- Ratios carry over to other machines, absolute figures do not.
"""


def write_report(results: Results, page: Path, chart: Path) -> None:
    """Write the page, and beside it the chart."""
    chart.write_bytes(draw(results))
    page.write_text(markdown(results, judge(results), chart.name))


def markdown(results: Results, verdicts: list[Verdict], chart: str) -> str:
    parts = [
        "# Performance\n\nWritten by `make bench`; nothing here is typed by hand.\n",
        "## Targets\n\n"
        + _table(
            ("target", "measured", "limit", ""),
            [(v.target, v.measured_text, v.limit_text, "met" if v.met else "**missed**") for v in verdicts],
        ),
        f"![Images a second and seconds, ours and the peers]({chart})\n",
        "## Figures\n\n" + _table(("what", "median", "all"), _figures(results)),
        _executors(results),
        _METHOD.format(**results["method"]),
        "## Machine\n\n" + _table(("", ""), sorted(results["machine"].items())),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _figures(results: Results) -> list[tuple[str, str, str]]:
    featurized, reduced = results["featurize"], results["reduce"]
    rows = [
        _figure("raw LiteRT, two processes, images/s", featurized["raw_images_per_second"]),
        _figure(
            f"featurize, {featurized['photos']:,} photos, s", [run["seconds"] for run in featurized["ours"]]
        ),
        _figure("its stage alone, s", [run["stage_seconds"] for run in featurized["ours"]]),
        _figure("its largest Python worker, MiB", [run["worker_peak_mib"] for run in featurized["ours"]]),
        _figure(
            f"featurize, {featurized['photos'] // 4:,} photos, s",
            [run["seconds"] for run in featurized["quarter"]],
        ),
    ]
    for name, peer in featurized["peers"].items():
        rows.append(
            _figure(f"{name}, {peer['photos']:,} photos, s", [run["seconds"] for run in peer["runs"]])
        )
        rows.append(_figure("half of them, s", [run["half_seconds"] for run in peer["runs"]]))
    read = results["read_stage"]
    rows += [
        _figure(f"reading {read['photos']:,} photos at 20 ms, ours, s", read["seconds"]["ours"]),
        _figure("the same, S3A binaryFile, s", read["seconds"]["peer"]),
        _figure("featurize stage at 20 ms, s", results["latency"]["stage_seconds"]["with"]),
        _figure("featurize stage at 0 ms, s", results["latency"]["stage_seconds"]["without"]),
        _figure(f"PCA fit, {reduced['rows']:,} rows, ours, s", reduced["fit"]["ours"]),
        _figure("the same, pyspark.ml, s", reduced["fit"]["peer"]),
        _figure("PCA fit, a quarter of the rows, ours, s", reduced["fit"]["quarter"]),
        _figure("PCA transform and write, ours, s", reduced["transform"]["ours"]),
        _figure("the same, pyspark.ml, s", reduced["transform"]["peer"]),
    ]
    for part in (results["partitions"]["few"], results["partitions"]["many"]):
        rows.append(_figure(f"PCA fit, {part['partitions']:,} files, two executors, s", part["seconds"]))
        rows.append(_figure("its driver at most, Java and Python, MiB", part["driver_peak_mib"]))
    resume = results["resume"]
    rows.append(
        _figure("first prediction of a fresh Python worker, s", results["first_prediction"]["seconds"])
    )
    rows.append(
        (
            f"resumed after a kill: of {resume['photos']:,} photos computed again",
            f"{resume['recomputed']:,}",
            "",
        )
    )
    plan = results["plan"]
    rows.append(_figure(f"plan over {plan['keys']:,} keys, s", [plan["seconds"]]))
    rows.append(_figure("its process before the listing, MiB", [plan["peak_before_mib"]]))
    rows.append(_figure("at its peak, MiB", [plan["peak_mib"]]))
    return rows


def _figure(what: str, values: list[float]) -> tuple[str, str, str]:
    return what, _number(median(values)), ", ".join(map(_number, values)) if len(values) > 1 else ""


def _number(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _executors(results: Results) -> str:
    measured = results["executors"]
    rates = {int(count): median(rates) for count, rates in measured["images_per_second"].items()}
    rows = [(str(n), f"{rate:.0f}", f"{rate / rates[1]:.2f}x") for n, rate in rates.items()]
    return (
        f"## Executors\n\n`local-cluster`, one core each, {measured['photos']:,} photos, the stage alone. "
        "The machine has two cores, which four executors share: each loads a model of its own first, and "
        "that shows in so short a stage.\n\n" + _table(("executors", "images/s", "against one"), rows)
    )


def draw(results: Results) -> bytes:
    """PNG: three panels of bars, ours beside the peers."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    read, reduced = results["read_stage"], results["reduce"]
    panels = {
        "featurize\nimages/s, more is better": {
            "raw LiteRT": median(results["featurize"]["raw_images_per_second"]),
            "ours": ours_images_per_second(results),
            "notebook": peer_images_per_second(results, "notebook"),
            "scalar UDF": peer_images_per_second(results, "scalar_udf"),
        },
        "reading at 20 ms a request\nphotos/s, more is better": {
            "ours": read["photos"] / median(read["seconds"]["ours"]),
            "S3A binaryFile": read["photos"] / median(read["seconds"]["peer"]),
        },
        f"PCA of {reduced['rows']:,} rows\ns, less is better": {
            "fit, ours": median(reduced["fit"]["ours"]),
            "fit, pyspark.ml": median(reduced["fit"]["peer"]),
            "transform, ours": median(reduced["transform"]["ours"]),
            "transform, pyspark.ml": median(reduced["transform"]["peer"]),
        },
    }
    figure = Figure(figsize=(11, 3.4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (title, bars) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        colours = ["tab:blue" if "ours" in name else "tab:gray" for name in bars]
        drawn = axes.barh(list(bars), list(bars.values()), color=colours)
        axes.bar_label(drawn, fmt=lambda value: _number(value), padding=3)
        axes.set_title(title, fontsize=10)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.spines[["top", "right"]].set_visible(False)
    content = io.BytesIO()
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
