"""What each statement of the roles is for, as a table: the statement removed, and what failed without it."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from evidence import marked_text
from tests.deploy.infra.authorization import ACCOUNT, Need, permits
from tests.deploy.infra.moto_account import BUCKET
from tests.deploy.infra.pipeline_run import Installed, Outcome, PipelineRun

_RANDOM: Final = (
    (re.compile(r"\bj-[A-Z0-9]{13}\b"), "ID"),
    (re.compile(r"\bi-[0-9a-f]{17}\b"), "INSTANCE"),
    (re.compile(r"artifacts/[0-9a-f]{64}"), "artifacts/HASH"),
    (re.compile(r"cluster-[0-9a-f]{8}\b"), "cluster-DIGEST"),
    (re.compile(r"fruit-features-(\w+)-[A-Z0-9]{12}"), r"\1"),
    (re.compile(re.escape(BUCKET)), "BUCKET"),
    (re.compile(ACCOUNT), "ACCOUNT"),
)


@dataclass(frozen=True)
class Row:
    role: str
    statement: str
    refused: str
    """The first call refused; empty when none was."""
    failed: str


def airflow_rows(account: Installed, run: PipelineRun) -> list[Row]:
    """Every statement of Airflow's role removed in turn, and the run played without it."""
    statements = account.statements("AirflowRole")
    rows = []
    for removed in statements:
        outcome = run.play([each for each in statements if each is not removed], steps="replayed")
        rows.append(Row("Airflow", removed["Sid"], _first(outcome.guard.refused), _consequence(outcome)))
    return rows


def _consequence(outcome: Outcome) -> str:
    if outcome.failed:
        return f"`{outcome.failed}` fails"
    prices = ((outcome.report or {}).get("cost") or {}).get("prices") or {}
    return f"the run goes on, with {prices.get('source')} prices"


def node_rows(account: Installed, requests: list[Need]) -> list[Row]:
    """Every statement of the nodes' role removed in turn, and the steps' requests judged without it."""
    statements = account.statements("NodeRole")
    rows = []
    for removed in statements:
        rest = [each for each in statements if each is not removed]
        refused = sorted((need for need in requests if not permits(rest, need)), key=str)
        rows.append(
            Row(
                "nodes",
                removed["Sid"],
                _first(refused),
                f"{len(refused)} of {len(requests)} requests refused",
            )
        )
    return rows


def _first(refused: list[Need]) -> str:
    if not refused:
        return ""
    text = f"{refused[0].action} on {refused[0].resource}"
    for pattern, name in _RANDOM:
        text = pattern.sub(name, text)
    return text


def write(page: Path, rows: list[Row]) -> None:
    """Put the table between the marks of the page."""
    head = ("role", "statement removed", "first call refused", "what failed")
    cells = [(row.role, row.statement, f"`{row.refused}`", row.failed) for row in rows]
    marked_text.write(page, marked_text.table(head, cells))


def listed(page: Path) -> set[tuple[Any, ...]]:
    """Role and statement of every row that the page has."""
    rows = [line.split("|")[1:3] for line in marked_text.read(page)[2:]]
    return {tuple(cell.strip() for cell in row) for row in rows}
