"""The tasks of photo_drops: wait for the end of a drop, look into the bucket, announce what waits there.

What they know of drops is Airflow's own record of asset events, so that nothing is forgotten when one
of its processes dies.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, BaseSensorOperator, Context, Param, get_current_context
from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from fruit_contract.layout import DAG_ID
from fruit_pipeline.aws.clients import check_residency, client
from fruit_pipeline.drops.drop_assets import PHOTO_CHECK, PHOTO_DROP
from fruit_pipeline.drops.quiet_time import QuietTime, judge
from fruit_pipeline.errors import without_retry
from fruit_pipeline.notices import messages
from fruit_pipeline.notices.telling import tell
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters, form_field

log = logging.getLogger(__name__)


def form() -> dict[str, Param]:
    """The parameters of a run of photo_drops; their defaults are the installation's."""
    deployment = Deployment()
    fields: dict[str, dict[str, Any]] = {
        "quiet_minutes": {
            "default": deployment.drop_quiet_minutes,
            "title": "Quiet minutes",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 24 * 60,
            "description": "A drop ends when no photo has come or gone for this many minutes.",
        },
        "max_wait_hours": {
            "default": deployment.drop_max_wait_hours,
            "title": "Longest wait in hours",
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 7 * 24,
            "description": "A drop that never falls quiet ends this many hours after its first photo.",
        },
        "min_new_images": {
            "default": deployment.drop_min_new_images,
            "title": "Fewest changes",
            "type": "integer",
            "minimum": 1,
            "description": "Fewer new, changed or deleted photos than this start no run.",
        },
    }
    return {name: form_field(name, **field) for name, field in fields.items()}


class DropCompleteSensor(BaseSensorOperator):
    """Waits for the end of a drop without a worker slot, and returns what Airflow was told of it.

    Skips when all that Airflow was told has been looked at already, by the run before: what came while
    that one waited has started this one, and was seen by both.

    :param photo_events: the asset whose events are the drop
    """

    def __init__(self, *, photo_events: Asset, **kwargs: Any) -> None:
        super().__init__(mode="reschedule", **kwargs)
        self.photo_events = photo_events

    def execute(self, context: Context) -> dict[str, Any]:
        params, ti, now = context["params"], context["ti"], datetime.now(UTC)
        seen_until = _seen_until(context)
        events = [
            event
            for event in context["inlet_events"][self.photo_events].after(seen_until)
            if seen_until is None or event.timestamp > seen_until
        ]
        if not events and context["dag_run"].run_type == "asset_triggered":
            raise AirflowSkipException("Everything that S3 told of has been looked at by an earlier run.")
        verdict = judge(
            [event.timestamp for event in events],
            context["dag_run"].start_date or now,
            now,
            QuietTime(
                quiet=timedelta(minutes=params["quiet_minutes"]),
                longest=timedelta(hours=params["max_wait_hours"]),
                poll=timedelta(seconds=Deployment().poll_seconds),
            ),
            busy=bool(ti.get_dr_count(DAG_ID, states=["queued", "running"])),
        )
        heard = _heard(events)
        log.info("%d messages of S3, %s: %s.", heard["told"], _span(heard), verdict.why)
        if verdict.again_at is not None:
            raise AirflowRescheduleException(verdict.again_at)
        until = events[-1].timestamp if events else seen_until
        return {**heard, "seen_until": until.isoformat() if until else None, "why": verdict.why}


@without_retry()
def look_into_bucket(heard: dict[str, Any]) -> dict[str, Any]:
    """
    Lists the bucket and compares it with the current result: events are a hint, S3 is the truth. Returns
    what waits there, beside what was heard.

    **When it fails:** the message names the bucket or what is not allowed. The photos wait for the next drop
    or the daily run; clear this task once it is mended.
    """
    from fruit_pipeline.photos import changes  # pyarrow is slow to import, so not at parse

    parameters = RunParameters()
    check_residency(parameters.region, parameters.bucket)
    s3, minutes = client("s3", parameters.region), Deployment().listing_minutes
    waiting = changes.count(s3, parameters.bucket, parameters.input_prefix, minutes)
    counts = {"new": waiting.new, "changed": waiting.changed, "deleted": waiting.deleted}
    log.info("%d new photos wait, %d changed, %d deleted.", *counts.values())
    # Stored with this task's success, and not without it: what it has seen starts no further look.
    get_current_context()["outlet_events"][PHOTO_CHECK].extra = {"seen_until": heard["seen_until"], **counts}
    return {**counts, **heard}


def announce_drop(drop: dict[str, Any]) -> None:
    """
    Starts fruit_features, when at least `min_new_images` photos wait; else is skipped.

    **When it fails:** clear it; it needs nothing but Airflow.
    """
    context = get_current_context()
    least = context["params"]["min_new_images"]
    waiting = drop["new"] + drop["changed"] + drop["deleted"]
    if waiting < least:
        why = f"{waiting} photos wait, fewer than min_new_images {least}"
        if waiting:
            parameters = RunParameters()
            where = f"s3://{parameters.bucket}/{parameters.input_prefix}"
            tell(context, messages.photos_wait(why, where), "photos wait")
        raise AirflowSkipException(f"{why}.")
    context["outlet_events"][PHOTO_DROP].extra = drop


def _seen_until(context: Context) -> datetime | None:
    """How far Airflow's ear had got at the last look into the bucket: by its own clock, no other's."""
    last = list(context["inlet_events"][PHOTO_CHECK].ascending(False).limit(1))
    until = last[0].extra.get("seen_until") if last and last[0].extra else None
    return datetime.fromisoformat(until) if until else None


def _heard(events: Sequence[Any]) -> dict[str, Any]:
    """The counts of all events, and when the first and the last of them were."""
    payloads = [(event.extra or {}).get("payload") or {} for event in events]
    counts = {
        name: sum(int(payload.get(name, 0)) for payload in payloads)
        for name in ("created", "removed", "ignored")
    }
    return {
        "told": counts["created"] + counts["removed"],
        **counts,
        "first": events[0].timestamp.isoformat(timespec="seconds") if events else None,
        "last": events[-1].timestamp.isoformat(timespec="seconds") if events else None,
    }


def _span(heard: dict[str, Any]) -> str:
    return f"from {heard['first']} to {heard['last']}" if heard["first"] else "started by hand"
