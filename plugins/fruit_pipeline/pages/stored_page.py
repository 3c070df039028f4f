"""The page of a run from what lies on S3: its report, its overview, and which result is current."""

from typing import Any

from fruit_contract.layout import RunLayout
from fruit_contract.report_schema import Report
from fruit_pipeline.pages.result_page import Current, PageError, result_page
from fruit_pipeline.results.publication import read_json, read_pointer


def as_file(s3: Any, layout: RunLayout, report: Report) -> str:
    """The page of a report that was just written, for reading without a server."""
    return _page(s3, layout, report, served=False)


def as_served(s3: Any, layout: RunLayout, *, can_predict: bool = False) -> str:
    """The page as Airflow's UI shows it; ``PageError`` for a run that has left no report."""
    return _page(s3, layout, report_of(s3, layout), served=True, can_predict=can_predict)


def report_of(s3: Any, layout: RunLayout) -> Report:
    """The report of a run; ``PageError`` where there is none."""
    report: Report | None = read_json(s3, layout.bucket, layout.report)
    if report is None:
        raise PageError(f"There is no report at {layout.uri(layout.report)}: the run has not written one.")
    return report


def result_of(s3: Any, layout: RunLayout) -> RunLayout:
    """Where the result of a run lies: with that of the current one, where nothing was new."""
    report = read_json(s3, layout.bucket, layout.report)
    return _result(layout, report, _current(s3, layout)) if report else layout


def _current(s3: Any, layout: RunLayout) -> Current | None:
    return Current.of(read_pointer(s3, layout.bucket, unreadable=True).pointer)


def _result(layout: RunLayout, report: Report, current: Current | None) -> RunLayout:
    if report.get("nothing_new") and current:
        return RunLayout(layout.bucket, current.run_key)
    return layout


def _page(s3: Any, layout: RunLayout, report: Report, *, served: bool, can_predict: bool = False) -> str:
    current = _current(s3, layout)
    result = _result(layout, report, current)
    overview = read_json(s3, result.bucket, result.overview)
    return result_page(report, overview, result, current, served=served, can_predict=can_predict)
