"""Promise: whatever is asked of the pages, the answer is a page with one sentence, and no more happens."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from botocore.exceptions import ClientError, EndpointConnectionError
from fastapi import HTTPException
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from fruit_pipeline.pages import app as module
from fruit_pipeline.pages.stored_runs import StoredRun
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA
from fruit_pipeline.results.publication import write_json
from tests.fruit_pipeline.conftest import BUCKET
from tests.fruit_pipeline.pages.conftest import LAYOUT, stored
from tests.fruit_pipeline.pages.test_result_page import Elements, report
from tests.fruit_pipeline.results.test_reporting import START


def test_every_route_asks_airflow_first(runs: dict[str, StoredRun], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def requires(*what: Any, **of: Any) -> Any:
        asked.append((what, of))

        def refuse() -> None:
            raise HTTPException(403)

        return refuse

    monkeypatch.setattr(module, "requires_access_dag", requires)
    app = module.create_app()
    ways = [(*route.methods, route.path) for route in app.routes if isinstance(route, APIRoute)]
    with TestClient(app) as client:
        statuses = {
            (method, path): client.request(method, f"{path}?run_id=r%2B1&key=k&file=f").status_code
            for method, path in ways
        }
    assert statuses == dict.fromkeys(ways, 403)
    assert len(ways) == 7
    assert asked == [(("GET", DagAccessEntity.RUN), {"param_dag_id": "fruit_features"})]


def test_a_result_is_shown_with_headers_that_allow_no_more(pages: TestClient, s3: Any) -> None:
    write_json(s3, BUCKET, LAYOUT.report, report())
    answer = pages.get("/result", params={"run_id": "r+1", "dag_id": "fruit_features"})
    assert answer.status_code == 200
    assert "Result of r" in Elements(answer.text).text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_plus_that_came_as_a_blank_is_a_plus(pages: TestClient, s3: Any) -> None:
    write_json(s3, BUCKET, LAYOUT.report, report())
    assert pages.get("/result?run_id=r+1").status_code == 200


@pytest.mark.parametrize(
    ("address", "status", "sentence"),
    [
        ("/result?run_id=other", 404, "There is no run 'other' of fruit_features."),
        ("/result?run_id=r%2B1&dag_id=photo_drops", 404, "Runs of photo_drops have no result of their own"),
        ("/result?run_id=r%2B1", 409, "There is no report at s3://"),
        ("/photo?run_id=r%2B1&key=Test/a.jpg", 404, "The run has no photo 'Test/a.jpg': check the key."),
        ("/image?run_id=r%2B1&key=Test/a.jpg", 404, "The run has no photo 'Test/a.jpg': check the key."),
        ("/compare?run_id=r%2B1", 409, "1 runs are chosen: choose two to compare."),
        ("/download?run_id=r%2B1&file=report.json", 404, "The run has left no report.json."),
        ("/download?run_id=r%2B1&file=../secret", 404, "There is no file '../secret' here"),
    ],
)
def test_what_is_not_there_is_one_sentence(
    pages: TestClient, address: str, status: int, sentence: str
) -> None:
    answer = pages.get(address)
    assert answer.status_code == status
    assert sentence in Elements(answer.text).text


def put_manifest(s3: Any, rows: dict[str, tuple[str, str | None]]) -> None:
    """State and reason by key, in two row groups at least."""
    photo = {"etag": "e", "size": 1, "source": ""}
    table = pa.Table.from_pylist(
        [{"key": key, "state": rows[key][0], "reason": rows[key][1], **photo} for key in sorted(rows)],
        MANIFEST_SCHEMA,
    )
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=2)
    s3.put_object(Bucket=BUCKET, Key=f"{LAYOUT.manifest}part-0.parquet", Body=file.getvalue())


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("Test/a.jpg", "in the result, but not among the 100,000 at most that the run has indexed"),
        (f"s3://{BUCKET}/Test/a.jpg", "only those are compared"),
        ("Test/é.jpg", "The photo was rejected, and has no components: corrupt: cut off."),
        ("Test/gone.jpg", "The run has no photo 'Test/gone.jpg': check the key."),
        ("Test/c.jpg", "The run has no photo 'Test/c.jpg': check the key."),
    ],
)
def test_a_photo_that_is_not_indexed_says_why_in_one_sentence(
    pages: TestClient, s3: Any, key: str, sentence: str
) -> None:
    write_json(s3, BUCKET, LAYOUT.report, report())
    live = dict.fromkeys(("Test/a.jpg", "Test/b.jpg"), ("live", None))
    rejected = {"Test/é.jpg": ("rejected", "corrupt: cut off"), "Test/gone.jpg": ("dead", None)}
    put_manifest(s3, {**live, **rejected})
    assert sentence in Elements(pages.get("/photo", params={"run_id": "r+1", "key": key}).text).text


def test_a_table_holds_no_formula(pages: TestClient, s3: Any) -> None:
    write_json(s3, BUCKET, LAYOUT.report, report())
    texts = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", "\tTab", "\rReturn", "plain", "'=quoted"]
    table = pa.table({"path": [LAYOUT.uri(text) for text in texts], "reason": texts})
    rows = {"path": [LAYOUT.uri("=k")], "label": ["@label"], "features": [[-1.5]]}
    for folder, each in ((LAYOUT.rejected, table), (LAYOUT.pca_output, pa.table(rows))):
        file = io.BytesIO()
        pq.write_table(each, file)
        s3.put_object(Bucket=BUCKET, Key=f"{folder}part-0.parquet", Body=file.getvalue())

    def cells(file: str) -> list[list[str]]:
        body = pages.get("/download", params={"run_id": "r+1", "file": file}).text
        return list(csv.reader(io.StringIO(body, newline="")))

    safe = [f"'{text}" for text in texts[:6]] + texts[6:]
    assert cells("rejected.csv")[1:] == [[text, text] for text in safe]
    assert cells("result.csv")[1:] == [["'=k", "'@label", "-1.5"]], "a number is no formula"


@pytest.mark.parametrize(
    "error",
    [
        ClientError(
            {
                "Error": {
                    "Code": "AccessDenied",
                    "Message": "arn:aws:sts::123456789012:assumed-role/x may not",
                }
            },
            "GetObject",
        ),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    ],
)
def test_a_bucket_that_does_not_answer_is_one_sentence_without_the_account(
    pages: TestClient, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(module.stored_page, "as_served", fail)
    answer = pages.get("/result?run_id=r%2B1")
    assert answer.status_code == 502
    assert "S3 does not answer as it should" in answer.text
    assert "123456789012" not in answer.text


def test_a_run_under_way_shows_its_tasks_and_how_far_the_step_is(
    pages: TestClient, runs: dict[str, StoredRun], s3: Any
) -> None:
    runs["r+1"] = stored(state="running")
    now = datetime.now(UTC)
    done = {"done": 40, "of": 100, "reused": 0, "started": START.isoformat(), "now": now.isoformat()}
    write_json(s3, BUCKET, LAYOUT.progress, done)
    page = Elements(pages.get("/result?run_id=r%2B1").text)
    assert "40 of 100 photos" in page.text
    assert ("40", "100") in [(attrs["value"], attrs["max"]) for tag, attrs in page.tags if tag == "progress"]
    runs["r+1"] = stored(state="queued", layout=None, region=None)
    assert "Run r+1 is queued" in Elements(pages.get("/result?run_id=r%2B1").text).text


def test_a_run_that_never_looked_at_photos_says_so(pages: TestClient, runs: dict[str, StoredRun]) -> None:
    runs["r+1"] = stored(state="failed", layout=None, region=None, note="Red: no bucket.")
    answer = pages.get("/result?run_id=r%2B1")
    assert "The run failed before it had looked at its photos. Red: no bucket." in Elements(answer.text).text


def test_a_region_outside_the_eu_is_not_asked(pages: TestClient, runs: dict[str, StoredRun]) -> None:
    runs["r+1"] = stored(region="us-east-1")
    answer = pages.get("/result?run_id=r%2B1")
    assert "is not in the EU" in answer.text


def test_the_page_of_all_runs_reads_each_bucket_once(pages: TestClient, runs: dict[str, StoredRun]) -> None:
    runs["r+2"] = stored(run_id="r+2", state="running")
    page = Elements(pages.get("/runs").text)
    assert "r+2" in page.text
    assert "No run has left a report yet" in page.text
