"""Promise: the index has one line a run, whoever else writes it, and can be made again from the reports."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fruit_contract.layout import RUN_INDEX_KEY, RunLayout
from fruit_pipeline.results import run_index
from fruit_pipeline.results.publication import write_json
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.results.test_reporting import built, task


def line(key: str, day: int = 1) -> Any:
    report = built([task("plan", "success")]) | {"started_at": f"2026-01-{day:02d}T03:00:00+00:00"}
    return run_index.summary(report, key)  # type: ignore[arg-type]


def keys(s3: Any) -> list[str]:
    return [each["run_key"] for each in run_index.read(s3, BUCKET)]


def test_lines_come_the_newest_first_and_a_repeated_run_has_one(s3: Any) -> None:
    assert keys(s3) == []
    for key, day in (("a", 1), ("c", 3), ("b", 2), ("a", 1)):
        run_index.add(s3, BUCKET, line(key, day))
    assert keys(s3) == ["c", "b", "a"]


def test_installations_that_write_at_the_same_time_lose_no_line(s3: Any) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: run_index.add(s3, BUCKET, line(f"run-{number}")), range(8)))
    assert sorted(keys(s3)) == [f"run-{number}" for number in range(8)]


def test_the_index_is_made_again_from_the_reports_that_can_be_read(s3: Any) -> None:
    for key in ("a", "b"):
        write_json(s3, BUCKET, RunLayout(BUCKET, key).report, built([task("plan", "success")]))
    s3.put_object(Bucket=BUCKET, Key=RunLayout(BUCKET, "cut").report, Body=b"{")
    write_json(s3, BUCKET, RunLayout(BUCKET, "older").report, {"run_id": "older"})
    write_json(s3, BUCKET, RunLayout(BUCKET, "a").claim, {})
    s3.put_object(Bucket=BUCKET, Key=RUN_INDEX_KEY, Body=b"lost")
    assert run_index.rebuild(s3, BUCKET) == 2
    assert sorted(keys(s3)) == ["a", "b"]


def test_an_index_that_is_none_is_one_sentence(s3: Any) -> None:
    s3.put_object(Bucket=BUCKET, Key=RUN_INDEX_KEY, Body=b'{"run_key": "a"')
    with pytest.raises(run_index.RunIndexError, match=r"cannot be read.*fruit_pipeline index"):
        run_index.read(s3, BUCKET)


def test_the_next_run_mends_an_index_that_cannot_be_read(s3: Any) -> None:
    write_json(s3, BUCKET, RunLayout(BUCKET, "a").report, built([task("plan", "success")]))
    s3.put_object(Bucket=BUCKET, Key=RUN_INDEX_KEY, Body=b"lost")
    run_index.add(s3, BUCKET, line("a"))
    assert keys(s3) == ["a"]


def test_the_oldest_lines_go_when_there_are_too_many(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_index, "MOST_RUNS", 2)
    for day in (3, 1, 2):
        run_index.add(s3, BUCKET, line(str(day), day))
    assert keys(s3) == ["3", "2"]
