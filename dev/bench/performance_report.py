"""The tables of docs/evidence/performance.md and its chart, from the results alone."""

import io
from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from bench.targets import judge, ours_images_per_second, peer_images_per_second
from evidence.marked_text import table

Results = Mapping[str, Any]


def report(results: Results) -> list[str]:
    """The lines of the page: targets, every figure, how and on what it was measured."""
    verdicts = [
        (one.target, one.measured_text, one.limit_text, "met" if one.met else "**missed**")
        for one in judge(results)
    ]
    measured = {name: part for name, part in results.items() if name not in ("machine", "method")}
    facts = {**results["method"], **results["machine"]}
    return [
        *("## Targets", "", *table(("target", "measured", "limit", ""), verdicts)),
        *("", "## Figures", "", *table(("figure", "median", "all"), figures(measured))),
        *("", "## Method and machine", "", *table(("", ""), ((name, str(facts[name])) for name in facts))),
    ]


def figures(measured: Any, name: str = "") -> Iterator[tuple[str, str, str]]:
    """Every number by its place in the results: its median, and all of them where it was repeated."""
    if isinstance(measured, list) and isinstance(measured[0], Mapping):
        measured = {key: [run[key] for run in measured] for key in measured[0]}
    if isinstance(measured, Mapping):
        for key, part in measured.items():
            yield from figures(part, f"{name}, {key.replace('_', ' ')}" if name else key.replace("_", " "))
    elif isinstance(measured, list):
        yield name, _number(median(measured)), ", ".join(map(_number, measured)) if len(measured) > 1 else ""
    else:
        yield name, _number(measured), ""


def _number(value: float) -> str:
    if value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def draw(results: Results) -> bytes:
    """PNG: three panels of bars, ours beside the peers."""
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
