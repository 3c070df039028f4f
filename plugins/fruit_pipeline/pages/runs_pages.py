"""The pages of many runs: a table with charts over time, and two runs side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fruit_contract.report_schema import Report
from fruit_contract.run_summary import RunSummary
from fruit_pipeline.pages import charts
from fruit_pipeline.pages.judgement import accuracy
from fruit_pipeline.pages.rendering import rendered
from fruit_pipeline.pages.result_page import minutes_between

SHOWN_RUNS: Final = 200
_CHARTED: Final = 60


@dataclass(frozen=True)
class Measure:
    """What a chart shows of each run; None where a run has no such figure."""

    title: str
    value: Callable[[RunSummary], float | None]
    shown: Callable[[float], str]


MEASURES: Final = (
    Measure("Photos", lambda run: run["photos"], "{:,.0f}".format),
    Measure("Rejected", lambda run: run["rejected"], "{:,.0f}".format),
    Measure("Variance kept", lambda run: run["explained_variance"], "{:.1%}".format),
    Measure("Minutes", lambda run: run["minutes"], "{:.1f}".format),
    Measure("EUR", lambda run: run["eur"], "{:.2f}".format),
)


@dataclass(frozen=True)
class Difference:
    """One line of a comparison."""

    name: str
    one: str
    other: str

    @property
    def differs(self) -> bool:
        return self.one != self.other


def runs_page(runs: Sequence[RunSummary], under_way: Sequence[tuple[str, str]], served: bool = True) -> str:
    """``runs`` come the newest first; ``under_way`` has id and state of those without a report."""
    charted = list(reversed(runs[:_CHARTED]))
    pictures = [
        (measure.title, charts.bars_over_time(measure.title, [_bar(run, measure) for run in charted]))
        for measure in MEASURES
    ]
    return rendered(
        "runs.html",
        title="Runs",
        runs=runs[:SHOWN_RUNS],
        more=max(0, len(runs) - SHOWN_RUNS),
        under_way=under_way,
        charts=pictures if charted else [],
        charted=len(charted),
        accuracy=accuracy,
    )


def comparison_page(one: Report, other: Report) -> str:
    """Parameters, counts, variance, time and cost of two runs, side by side."""
    names = sorted({*one["parameters"], *other["parameters"]})
    parameters = [_difference(name, one["parameters"], other["parameters"]) for name in names]
    return rendered(
        "comparison.html",
        title="Two runs side by side",
        runs=[one["run_id"], other["run_id"]],
        outcomes=[Difference(name, said(one), said(other)) for name, said in _OUTCOMES],
        parameters=[each for each in parameters if each.differs],
        alike=sum(not each.differs for each in parameters),
    )


def _bar(run: RunSummary, measure: Measure) -> charts.Bar:
    value = measure.value(run)
    said = "none" if value is None else measure.shown(value)
    return charts.Bar(value or 0.0, run["state"], f"{run['run_id']}: {said}, {run['state']}")


def _difference(name: str, one: dict[str, object], other: dict[str, object]) -> Difference:
    return Difference(
        name, *("not known" if name not in given else str(given[name]) for given in (one, other))
    )


def _text(value: Any, form: str = "{:,}") -> str:
    return "none" if value is None else form.format(value)


def _accuracy(run: Report) -> str:
    """A report of before there were classifiers has none."""
    trained = run.get("classifier")
    judged = trained["judged"] if trained else None
    return accuracy(judged["top1"], judged["split"]) if judged else "none"


_OUTCOMES: Final[tuple[tuple[str, Callable[[Report], str]], ...]] = (
    ("state", lambda run: run["state"]),
    ("started", lambda run: run["started_at"]),
    ("took", lambda run: minutes_between(run["started_at"], run["ended_at"])),
    ("photos", lambda run: _text(run["images"]["found"])),
    ("new and changed", lambda run: _text(run["images"]["new"] + run["images"]["changed"])),
    ("reused", lambda run: _text(run["images"]["reused"])),
    ("rows", lambda run: _text(run["images"]["processed"])),
    ("rejected", lambda run: _text(run["images"]["rejected"])),
    ("components", lambda run: _text(run["components"])),
    ("variance kept", lambda run: _text(run["explained_variance"], "{:.2%}")),
    ("classifier right in", _accuracy),
    ("photos a second", lambda run: _text(run["images_per_second"], "{:,.0f}")),
    ("EUR", lambda run: _text(run["cost"]["actual"], "{:.3f}")),
    ("EUR expected", lambda run: _text(run["cost"]["expected"], "{:.3f}")),
    ("EUR at worst", lambda run: _text(run["cost"]["estimate"], "{:.2f}")),
    ("model", lambda run: run["model"]["fingerprint"][:12] if run["model"] else "none"),
)
