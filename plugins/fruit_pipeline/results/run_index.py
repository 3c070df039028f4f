"""The index of runs: one JSON object with a line a run, so that a page of all runs reads one object."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from fruit_contract.layout import REPORT_NAME, REPORTS_PREFIX, RUN_INDEX_KEY
from fruit_contract.report_schema import Report
from fruit_contract.run_summary import RunSummary
from fruit_pipeline.errors import PipelineError, UnreadableError
from fruit_pipeline.results.publication import read_json

MOST_RUNS: Final = 2_000
"""The newest are kept: some 700 kB, five years of daily runs."""
_LONGEST_FAILURE: Final = 200
_ATTEMPTS: Final = 8


class RunIndexError(PipelineError):
    """The index is there and cannot be read; one sentence."""


def summary(report: Report, run_key: str) -> RunSummary:
    """The line of a run. ``KeyError`` or ``TypeError`` for a report of another version."""
    images, started, ended = report["images"], report["started_at"], report["ended_at"]
    seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
    # A report of before there were classifiers has no word of them.
    trained = report.get("classifier")
    judged = trained["judged"] if trained else None
    return RunSummary(
        run_id=report["run_id"],
        run_key=run_key,
        state=report["state"],
        started_at=started,
        minutes=round(seconds / 60, 2),
        photos=images["found"],
        new=images["new"] + images["changed"],
        rejected=images["rejected"],
        components=report["components"],
        explained_variance=report["explained_variance"],
        top1=judged["top1"] if judged else None,
        eur=report["cost"]["actual"],
        nothing_new=report["nothing_new"],
        failure=(report["failure"] or "")[:_LONGEST_FAILURE] or None,
        split=judged["split"] if judged else None,
        drift=len(trained["drift"]["warnings"]) if trained and trained["drift"] else None,
    )


def read(s3: Any, bucket: str) -> list[RunSummary]:
    """The lines, the newest run first; ``RunIndexError`` where the index is none."""
    return _read(s3, bucket)[0]


def add(s3: Any, bucket: str, line: RunSummary) -> None:
    """Put the line in the place of an older one of the same key, whoever else writes at the same time.

    An index that cannot be read is made anew, from the reports.
    """
    tries = Retrying(
        retry=retry_if_exception(_was_overtaken),
        wait=wait_random_exponential(multiplier=0.1, max=2),
        stop=stop_after_attempt(_ATTEMPTS),
        reraise=True,
    )
    try:
        tries(_add, s3, bucket, line)
    except RunIndexError:
        rebuild(s3, bucket)


def rebuild(s3: Any, bucket: str) -> int:
    """Write the index anew from the reports that can be read; the number of its lines."""
    lines = list(_from_reports(s3, bucket))
    _write(s3, bucket, lines, {})
    return len(lines)


def _add(s3: Any, bucket: str, line: RunSummary) -> None:
    lines, etag = _read(s3, bucket)
    others = (each for each in lines if each["run_key"] != line["run_key"])
    _write(s3, bucket, [line, *others], {"IfMatch": etag} if etag else {"IfNoneMatch": "*"})


def _was_overtaken(error: BaseException) -> bool:
    codes = ("PreconditionFailed", "ConditionalRequestConflict")
    return isinstance(error, ClientError) and error.response["Error"]["Code"] in codes


def _read(s3: Any, bucket: str) -> tuple[list[RunSummary], str | None]:
    try:
        answer = s3.get_object(Bucket=bucket, Key=RUN_INDEX_KEY)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return [], None
    try:
        lines = [json.loads(line) for line in answer["Body"].read().splitlines()]
        _ = [(line["run_key"], line["started_at"]) for line in lines]
    except (ValueError, KeyError, TypeError) as error:
        raise RunIndexError(
            f"s3://{bucket}/{RUN_INDEX_KEY} cannot be read ({error}): write it anew with "
            "`python -m fruit_pipeline index`."
        ) from error
    return lines, answer["ETag"]


def _write(s3: Any, bucket: str, lines: Iterable[RunSummary], condition: dict[str, str]) -> None:
    newest = sorted(lines, key=lambda line: line["started_at"], reverse=True)[:MOST_RUNS]
    body = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in newest)
    s3.put_object(
        Bucket=bucket,
        Key=RUN_INDEX_KEY,
        Body=body.encode(),
        ContentType="application/x-ndjson",
        **condition,
    )


def _from_reports(s3: Any, bucket: str) -> Iterator[RunSummary]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=REPORTS_PREFIX):
        for key in (entry["Key"] for entry in page.get("Contents", [])):
            folder, _, name = key.removeprefix(REPORTS_PREFIX).partition("/")
            if name != REPORT_NAME:
                continue
            try:
                report: Any = read_json(s3, bucket, key)
                yield summary(report, folder)
            except (UnreadableError, KeyError, TypeError, ValueError):
                continue
