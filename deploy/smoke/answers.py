"""The file of answers, and the table of them in docs/evidence/aws-smoke.md."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from evidence import marked_text
from fruit_pipeline.security.redaction import redacted_text
from smoke.questions import QUESTIONS, answered
from smoke.sightings import Cluster, Run, Seen

PAGE: Final = "aws-smoke.md"
FILE: Final = "aws-smoke.json"
_NOBODY: Final = "not asked yet"


def write(folder: Path, seen: Seen, account_id: str) -> None:
    """Both, without anything that identifies the account."""
    runs = [run for run in (seen.plain, seen.spot) if run]
    document = {
        "seen_on": f"{datetime.now(UTC):%Y-%m-%d}, {seen.where}, {seen.region}",
        "release": seen.plain.parameters.release_label,
        "interruption": seen.interruption,
        "runs": [_run(each) for each in runs],
        "removal_seconds": {what: round(seconds, 1) for what, seconds in seen.removal.items()},
        "answers": {question.__name__: answered(question, seen)._asdict() for question in QUESTIONS},
    }
    text = redacted_text(json.dumps(document, indent=2, default=str)).replace(account_id, "***")
    (folder / FILE).write_text(f"{text}\n", encoding="utf-8")
    write_page(folder)


def write_page(folder: Path) -> None:
    """The table of all questions, with the answers of the file beside it, if there is one."""
    marked_text.write(folder / PAGE, lines(folder))


def lines(folder: Path) -> list[str]:
    """What stands between the marks of the page."""
    file = folder / FILE
    document = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return marked_text.table(("question", "answer", "seen on"), _rows(document))


def _rows(document: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    answers, seen_on = document.get("answers", {}), document.get("seen_on", "")
    for question in QUESTIONS:
        answer = answers.get(question.__name__)
        # Neither a bar nor a line's end may stand in a cell.
        words = f"{answer['verdict']}: {' '.join(answer['seen'].split())}" if answer else _NOBODY
        yield (question.__doc__ or "").strip(), words.replace("|", "/"), seen_on if answer else ""


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "failure": run.report.get("failure"),
        "eur": run.report.get("cost", {}).get("actual"),
        "clusters": [_cluster(each) for each in run.clusters],
    }


def _cluster(cluster: Cluster) -> dict[str, Any]:
    return {
        "id": cluster.id,
        "state": cluster.end.state,
        "reason": f"{cluster.end.code} {cluster.end.message}".strip(),
        "steps": {name: str(end) for name, end in cluster.steps},
        "nodes": [f"{kind} {market} {end}" for kind, market, end in cluster.nodes],
    }
