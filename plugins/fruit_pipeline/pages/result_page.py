"""The page of one run's result, from its report and its overview: in Airflow's UI, or as one file."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from jinja2 import UndefinedError

from fruit_contract.classifier import TrainMetrics
from fruit_contract.layout import RunLayout
from fruit_contract.overview import Overview
from fruit_contract.report_schema import Cost, CostLine, GroupCost, Report
from fruit_contract.variance import is_share
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.pages import charts, judgement, sample_map
from fruit_pipeline.pages.rendering import rendered
from fruit_pipeline.settings.parameters import RunParameters

MOST_ROWS: Final = 20_000
"""Of a result that is given as CSV: 50 MB at 256 components."""
_PHOTOS_OF_A_LABEL: Final = 3


class PageError(PipelineError):
    """There is nothing to show; one sentence."""


class NotFoundError(PageError):
    """What was asked for is not there."""


@dataclass(frozen=True)
class ServiceCost:
    """A service of AWS in a bill, in EUR; None for what was not estimated, or not billed."""

    service: str
    expected: float | None
    worst: float | None
    actual: float | None
    lines: list[str]
    """What was counted, in words."""


@dataclass(frozen=True)
class Current:
    """Which result is current, as ``latest.json`` says."""

    run_id: str
    run_key: str
    since: str

    @classmethod
    def of(cls, pointer: Mapping[str, Any] | None) -> "Current | None":
        return cls(pointer["run_id"], pointer["run_key"], pointer["published_at"]) if pointer else None


def result_page(
    report: Report,
    overview: Overview | None,
    layout: RunLayout,
    current: Current | None,
    *,
    served: bool,
    can_predict: bool = False,
) -> str:
    """The page as HTML. ``layout`` is that of the result, which is an earlier run's where nothing was new.

    ``served`` pages can ask for photos and downloads; others need nothing beside them. With ``can_predict``
    they take a photo. ``PageError`` for a report of another version.
    """
    classifier = report.get("classifier")
    try:
        return rendered(
            "result.html",
            title=f"Result of {report['run_id']}",
            report=report,
            headline=headline(report, layout, current),
            overview=overview,
            examples=_examples(overview) if served else {},
            map_data=sample_map.map_data(overview["sample"]) if overview and overview["sample"] else None,
            overlaps=sample_map.overlaps(overview["sample"]) if overview else [],
            thresholds=charts.components_for_shares(report["explained_variance_ratio"] or ()),
            variance=charts.variance(
                report["explained_variance_ratio"] or (), _number(report, "minimum_variance")
            ),
            lanes=charts.lanes(charts.lanes_of(report["tasks"], report["timing"]["steps"])),
            classifier=classifier,
            judged_lines=judgement.lines(classifier) if classifier else [],
            judged_by=_judged_by(classifier),
            by_both=judgement.is_by_both(classifier) if classifier else False,
            decided_by=judgement.decided_by(classifier) if classifier else "",
            not_tested=judgement.not_tested(classifier) if classifier else None,
            coverage=charts.coverage(classifier["coverage"] if classifier else ()),
            reliability=charts.reliability(classifier["reliability"] if classifier else ()),
            bill=bill(report["cost"]),
            changed=changed_parameters(report["parameters"]),
            current=current,
            output=layout.uri(layout.pca_output),
            has_table=report["images"]["processed"] <= MOST_ROWS,
            served=served,
            can_predict=can_predict,
        )
    except (KeyError, TypeError, AttributeError, UndefinedError) as error:
        raise PageError(
            f"The report of this run is of another version of this project ({error}): read "
            f"{layout.uri(layout.report)} as it is."
        ) from error


def headline(report: Report, layout: RunLayout, current: Current | None) -> list[str]:
    """The run in some words each: what it made, how long it took, what it cost, what is left of it."""
    images, cost, cluster = report["images"], report["cost"], report["cluster"]
    said = [f"{images['found']:,} photos"]
    if report["nothing_new"]:
        said.append("nothing is new")
    if report["components"] is not None:
        said.append(f"{images['rejected']:,} rejected")
        asked = _number(report, "components")
        share = f" ({asked} asked)" if asked and is_share(asked) else ""
        said.append(f"{report['components']} components keep {report['explained_variance']:.1%}{share}")
    trained = report.get("classifier")
    if trained and trained["judged"]:
        said.append(
            f"classifier right in {judgement.accuracy(trained['judged']['top1'], trained['judged']['split'])}"
        )
    said.append(minutes_between(report["started_at"], report["ended_at"]))
    if cost["actual"] is not None:
        budget = _number(report, "budget_eur")
        of = f" of {budget:g}" if budget else ""
        said.append(f"{cost['actual']:.2f}{of} EUR")
    if cluster["id"]:
        at = f" at {clock(cluster['ended'])}" if cluster["ended"] else ""
        said.append(f"cluster {cluster['id']} {cluster['final_state']}{at}")
    if current and current.run_key == layout.run_key:
        said.append(f"result current since {clock(current.since)}")
    elif current and report["state"] == "success":
        said.append(f"result replaced by that of {current.run_id}")
    return said


def _judged_by(classifier: TrainMetrics | None) -> str:
    """The head of the table's column of the split that was asked for."""
    judged = classifier["judged"] if classifier else None
    return judgement.split_name(judged["split"]) if judged else "by the split asked for"


def _number(report: Report, parameter: str) -> float | None:
    """A parameter as it was given, if it is a number: that of a refused run may be anything."""
    value = report["parameters"].get(parameter)
    return float(value) if isinstance(value, int | float) else None


def minutes_between(start: str, end: str) -> str:
    seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def clock(moment: str) -> str:
    """An ISO 8601 time for the eye, to the minute."""
    return f"{datetime.fromisoformat(moment):%Y-%m-%d %H:%M} UTC"


def bill(cost: Cost) -> list[ServiceCost]:
    """Expected, worst and actual cost by service, in the order in which they come."""
    counted: dict[str, list[CostLine]] = {}
    for line in cost["lines"]:
        counted.setdefault(line["group"], []).append(line)
    groups = cost.get("groups") or [
        GroupCost(
            group=group, estimate=None, expected=None, actual=math.fsum(line["amount"] for line in lines)
        )
        for group, lines in counted.items()
    ]
    return [
        ServiceCost(
            each["group"],
            each["expected"],
            each["estimate"],
            each["actual"],
            [line["service"] for line in counted.get(each["group"], ())],
        )
        for each in groups
    ]


def changed_parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that are not as the form comes up."""
    usual = RunParameters().model_dump()
    return {name: value for name, value in sorted(given.items()) if name in usual and value != usual[name]}


def _examples(overview: Overview | None) -> dict[str, list[str]]:
    """Keys of some photos of each label."""
    examples: dict[str, list[str]] = {}
    for photo in overview["sample"] if overview else ():
        shown = examples.setdefault(photo["label"], [])
        if len(shown) < _PHOTOS_OF_A_LABEL:
            shown.append(photo["key"])
    return examples
