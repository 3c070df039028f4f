"""The pages over a bucket in memory, as somebody sees them who may."""

from collections.abc import Iterator
from typing import Any

import pytest
from airflow.api_fastapi.common.db.common import _get_session
from fastapi import FastAPI
from fastapi.testclient import TestClient

from fruit_contract.layout import RunLayout
from fruit_pipeline.pages import app as module
from fruit_pipeline.pages.stored_runs import StoredRun
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.results.test_reporting import START

LAYOUT = RunLayout(BUCKET, "r")


def stored(**changes: Any) -> StoredRun:
    usual: dict[str, Any] = {
        "run_id": "r+1",
        "state": "success",
        "note": None,
        "started": START,
        "region": "eu-west-1",
        "layout": LAYOUT,
        "tasks": [],
    }
    return StoredRun(**usual | changes)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> dict[str, StoredRun]:
    """What Airflow has stored, by id."""
    known = {"r+1": stored()}
    monkeypatch.setattr(module, "stored_run", lambda _, run_id: known.get(run_id))
    monkeypatch.setattr(module, "stored_runs", lambda _: list(known.values()))
    return known


@pytest.fixture
def pages(runs: dict[str, StoredRun], s3: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """The pages as somebody sees them who may."""
    monkeypatch.setattr(module, "_client", lambda *_: s3)
    monkeypatch.setattr(module, "requires_access_dag", lambda *_, **__: lambda: None)
    app: FastAPI = module.create_app()
    app.dependency_overrides[_get_session] = lambda: None
    with TestClient(app) as client:
        yield client
