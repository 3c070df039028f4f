"""Promise: of what lies at the address of the progress, only this step's own word is believed."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fruit_pipeline.results.progress import parse

ADDED = datetime(2026, 11, 29, 12, tzinfo=UTC)
SAID: dict[str, Any] = {
    "done": 12,
    "of": 24,
    "reused": 0,
    "started": "2026-11-29T12:01:00+00:00",
    "now": "2026-11-29T12:01:06+00:00",
}


def test_a_steps_own_word_is_believed() -> None:
    said = parse(json.dumps(SAID).encode(), ADDED)
    assert str(said) == "12 of 24 photos, 2.0 a second, 6 s left"


def test_more_than_is_known_today_is_passed_over() -> None:
    assert parse(json.dumps(SAID | {"stage": "reading"}).encode(), ADDED) is not None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"done": 12}',
        json.dumps(SAID | {"done": 25}).encode(),
        json.dumps(SAID | {"done": "many"}).encode(),
        json.dumps(SAID | {"now": "2026-11-29T11:00:00+00:00"}).encode(),
        json.dumps(SAID | {"started": "2026-11-29T12:01:00"}).encode(),
        json.dumps(SAID | {"started": "2026-11-29T12:01:00", "now": "2026-11-29T12:01:06"}).encode(),
    ],
    ids=str,
)
def test_what_is_no_progress_is_ignored(content: bytes) -> None:
    assert parse(content, ADDED) is None


def test_what_an_earlier_step_has_left_is_ignored() -> None:
    assert parse(json.dumps(SAID).encode(), ADDED + timedelta(minutes=2)) is None
