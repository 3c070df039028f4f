"""What started a run, and what its drop contained, in words for people."""

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from airflow.sdk import Context

STARTED_BY: Final = "started_by"
"""Key of the XCom that ``plan`` leaves."""

_WAYS: Final = {
    "ui": "Started by hand, in the UI.",
    "rest_api": "Started by hand, through the API.",
    "cli": "Started by hand, on the command line.",
    "manual": "Started by hand.",
    "scheduled": "Started by the schedule, which finds what no event told of.",
    "backfill": "Started by a backfill.",
}

log = logging.getLogger(__name__)


def words(run_type: str, triggered_by: str | None, drops: Iterable[Mapping[str, Any]]) -> str:
    """One sentence or two, from Airflow's names of the ways and the extras of the events that started it."""
    if run_type == "asset_triggered":
        return " ".join(map(_drop, drops)) or "Started by an asset."
    by_hand = _WAYS.get(triggered_by or "") if run_type == "manual" else None
    return by_hand or _WAYS.get(run_type, f"Started as {run_type}.")


def _drop(extra: Mapping[str, Any]) -> str:
    if "new" not in extra:
        return "Started by an event of its asset that is no drop's: somebody made it by hand."
    waiting = (
        f"{extra['new']} new photos, {extra['changed']} changed and {extra['deleted']} deleted ones waited"
    )
    if not extra.get("first"):
        return f"Started by a look into the bucket: {waiting}."
    first, last = (datetime.fromisoformat(extra[name]) for name in ("first", "last"))
    return (
        f"Started by a drop of photos: {waiting}. S3 told of {extra['told']} changes between "
        f"{first:%Y-%m-%d %H:%M:%S} and {last:%H:%M:%S} UTC; {extra['why']}."
    )


def note_started_by(context: "Context") -> None:
    """Leave it in the task's log, and as an XCom."""
    run = context["dag_run"]
    # Airflow tells a task that a run was started by hand, not where.
    said = words(run.run_type.value, None, (event.extra or {} for event in run.consumed_asset_events))
    log.info(said)
    context["ti"].xcom_push(STARTED_BY, said)
