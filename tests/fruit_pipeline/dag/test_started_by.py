"""A run's page says which way it was started, and what the drop that started it had found."""

from types import SimpleNamespace
from typing import Any

import pytest

from fruit_pipeline.dag.started_by import words

DROP = {
    "new": 300,
    "changed": 5,
    "deleted": 10,
    "told": 315,
    "first": "2026-11-24T09:12:00+00:00",
    "last": "2026-11-24T09:13:30+00:00",
    "why": "it has been quiet for 5 min",
}


@pytest.mark.parametrize(
    ("run_type", "triggered_by", "said"),
    [
        ("manual", "ui", "Started by hand, in the UI."),
        ("manual", "rest_api", "Started by hand, through the API."),
        ("manual", "cli", "Started by hand, on the command line."),
        ("manual", None, "Started by hand."),
        ("scheduled", "timetable", "Started by the schedule, which finds what no event told of."),
        ("backfill", "backfill", "Started by a backfill."),
    ],
)
def test_every_way_has_its_words(run_type: str, triggered_by: str | None, said: str) -> None:
    assert words(run_type, triggered_by, []) == said


def test_a_drop_is_told_with_what_waited() -> None:
    assert words("asset_triggered", "asset", [DROP]) == (
        "Started by a drop of photos: 300 new photos, 5 changed and 10 deleted ones waited. S3 told of 315 "
        "changes between 2026-11-24 09:12:00 and 09:13:30 UTC; it has been quiet for 5 min."
    )


def test_a_look_by_hand_and_an_event_by_hand_are_no_drops() -> None:
    looked = {**DROP, "told": 0, "first": None, "last": None}
    assert words("asset_triggered", "asset", [looked]).startswith(
        "Started by a look into the bucket: 300 new"
    )
    assert "by hand" in words("asset_triggered", "asset", [{"from_rest_api": True}])


def run(**changes: Any) -> Any:
    facts = {"dag_id": "fruit_features", "run_type": "manual", "triggered_by": None, "note": None}
    return SimpleNamespace(**{**facts, "consumed_asset_events": [], **changes})


def test_the_note_is_of_the_pipelines_runs_alone_and_replaces_nobodys() -> None:
    from run_notes import RunNotes

    noted, others, kept = run(), run(dag_id="another"), run(note="mine")
    for each in (noted, others, kept):
        RunNotes().on_dag_run_running(each, msg="started")
    assert (noted.note, others.note, kept.note) == ("Started by hand.", None, "mine")
