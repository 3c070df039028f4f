"""What photo_drops makes of Airflow's record of events: what an earlier look has seen starts no other.

The record is Airflow's ``inlet_events`` as a list; the real one is in tests/drops.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException, AirflowSkipException

from fruit_pipeline.drops import drop_tasks
from fruit_pipeline.drops.drop_assets import PHOTO_CHECK, PHOTO_DROP
from fruit_pipeline.drops.drop_tasks import DropCompleteSensor
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET

EVENTS = Asset("photo_events")


class Record(list[Any]):
    """Events of one asset, oldest first."""

    def after(self, moment: datetime | None) -> "Record":
        return Record(event for event in self if moment is None or event.timestamp >= moment)

    def ascending(self, ascending: bool) -> "Record":
        return Record(sorted(self, key=lambda event: event.timestamp, reverse=not ascending))

    def limit(self, limit: int) -> "Record":
        return Record(self[:limit])


def heard(minutes_ago: float, created: int = 1, removed: int = 0) -> Any:
    payload = {"created": created, "removed": removed, "ignored": 0}
    moment = datetime.now(UTC) - timedelta(minutes=minutes_ago)
    return SimpleNamespace(timestamp=moment, extra={"from_trigger": True, "payload": payload})


def looked(until: Any) -> Any:
    return SimpleNamespace(
        timestamp=datetime.now(UTC), extra={"seen_until": until.timestamp.isoformat(), "new": 1}
    )


def context(
    events: list[Any], checks: list[Any], run_type: str = "asset_triggered", active_runs: int = 0
) -> Any:
    return {
        "params": {"quiet_minutes": 5, "max_wait_hours": 6, "min_new_images": 3},
        "ti": SimpleNamespace(get_dr_count=lambda dag_id, states: active_runs),
        "dag_run": SimpleNamespace(run_type=run_type, start_date=datetime.now(UTC)),
        "inlet_events": {EVENTS: Record(events), PHOTO_CHECK: Record(checks)},
        "outlet_events": {each: SimpleNamespace(extra=None) for each in (PHOTO_CHECK, PHOTO_DROP)},
    }


def sensor() -> DropCompleteSensor:
    return DropCompleteSensor(task_id="wait", photo_events=EVENTS)


def test_a_quiet_drop_is_returned_with_what_was_heard_of_it() -> None:
    events = [heard(20, created=2), heard(10, created=1, removed=4)]
    found = sensor().execute(context(events, []))
    assert (found["told"], found["created"], found["removed"]) == (7, 3, 4)
    assert found["seen_until"] == events[-1].timestamp.isoformat()


def test_a_drop_that_goes_on_asks_again_when_it_would_be_quiet() -> None:
    last = heard(1)
    with pytest.raises(AirflowRescheduleException) as again:
        sensor().execute(context([heard(3), last], []))
    assert again.value.reschedule_date == last.timestamp + timedelta(minutes=5)


def test_what_an_earlier_look_has_seen_is_skipped_and_what_came_after_it_is_not() -> None:
    old, new = heard(20, created=100), heard(10, created=1)
    with pytest.raises(AirflowSkipException):
        sensor().execute(context([old], [looked(until=old)]))
    assert sensor().execute(context([old, new], [looked(until=old)]))["told"] == 1


def test_by_hand_it_looks_at_once_but_not_during_a_run() -> None:
    old = heard(20)
    found = sensor().execute(context([old], [looked(until=old)], run_type="manual"))
    assert (found["told"], found["seen_until"]) == (0, old.timestamp.isoformat())
    with pytest.raises(AirflowRescheduleException):
        sensor().execute(context([old], [looked(until=old)], run_type="manual", active_runs=1))


@pytest.fixture
def announced(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, int]], Any]:
    def announce(found: dict[str, int]) -> Any:
        there = context([], [])
        monkeypatch.setattr(drop_tasks, "get_current_context", lambda: there)
        drop_tasks.announce_drop({"told": 5, "why": "quiet", **found})
        return there["outlet_events"][PHOTO_DROP].extra

    return announce


def test_enough_photos_are_announced_with_all_that_is_known(announced: Any) -> None:
    assert announced({"new": 1, "changed": 1, "deleted": 1}) == {
        "new": 1,
        "changed": 1,
        "deleted": 1,
        "told": 5,
        "why": "quiet",
    }


def test_fewer_than_the_least_are_not_announced(announced: Any) -> None:
    with pytest.raises(AirflowSkipException, match="2 photos wait, fewer than min_new_images 3"):
        announced({"new": 1, "changed": 1, "deleted": 0})


def test_the_look_into_the_bucket_gives_up_before_its_time_is_over(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "aws://")
    monkeypatch.setenv("FRUITS_PLAN_MINUTES", "1e-9")
    monkeypatch.setattr(drop_tasks, "RunParameters", lambda: RunParameters(bucket=BUCKET))
    s3.put_object(Bucket=BUCKET, Key="Test/Kiwi/1.jpg", Body=b"a photo")
    with pytest.raises(
        AirflowFailException, match=r"has more than the 1 objects .* raise FRUITS_PLAN_MINUTES"
    ):
        drop_tasks.look_into_bucket({"seen_until": None})
