"""The pages inside Airflow's API server: a FastAPI app below ``PREFIX``.

A mounted app inherits no authentication from Airflow (apache/airflow#72655). Each of its routes asks for
the permission that Airflow asks for a run of this DAG, and there is none without it: no docs, no schema.
"""

import csv
import io
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import requires_access_dag
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, StreamingResponse
from starlette.datastructures import UploadFile

from fruit_contract.layout import DAG_ID, RunLayout, label_of
from fruit_pipeline.aws import clients
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.pages import near_photos, photos, prediction, same_origin, stored_page
from fruit_pipeline.pages.rendering import content_security_policy, rendered
from fruit_pipeline.pages.result_page import NotFoundError, PageError
from fruit_pipeline.pages.runs_pages import comparison_page, runs_page
from fruit_pipeline.pages.stored_runs import StoredRun, stored_run, stored_runs
from fruit_pipeline.results import progress, run_index
from fruit_pipeline.results.csv_cells import defused
from fruit_pipeline.security.redaction import redacted
from fruit_pipeline.security.regions import check_region
from fruit_pipeline.settings.deployment import Deployment

PREFIX: Final = "/fruits"
_REFRESH_SECONDS: Final = 5
_S3_CONFIG: Final = Config(connect_timeout=2, read_timeout=5, retries={"total_max_attempts": 2})
"""The API server serves the tasks, too: a bucket that does not answer must not hold it."""
_CLIENT_SECONDS: Final = 300
"""How long a client is used: making one takes longer than most of what it is asked for."""
_HEADERS: Final = {
    "Content-Security-Policy": content_security_policy(),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": with it a browser hides the origin of a form, even from its own server.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "private, no-store",
}
_DOWNLOADS: Final = {
    "report.json": "application/json",
    "report.html": "text/html; charset=utf-8",
    "variance.png": "image/png",
    "confusion.png": "image/png",
    "reliability.png": "image/png",
}
_TABLES: Final = {"rejected.csv": photos.rejected, "result.csv": photos.components}

log = logging.getLogger(__name__)
_FORM_BYTES: Final = 2_000
"""What a browser sends around a photo."""
_UNDER_WAY: Final = ("queued", "running")
Key = Annotated[str, Query(min_length=1)]
RunId = Annotated[str, Query(min_length=1, max_length=250)]


def create_app() -> FastAPI:
    """The app, whose every route is closed to whoever may not see the DAG's runs."""
    allowed = requires_access_dag("GET", DagAccessEntity.RUN, param_dag_id=DAG_ID)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(allowed)])
    app.get("/result", response_class=HTMLResponse)(result)
    app.get("/runs", response_class=HTMLResponse)(runs)
    app.get("/compare", response_class=HTMLResponse)(compare)
    app.get("/photo", response_class=HTMLResponse)(photo)
    app.post("/try", response_class=HTMLResponse)(try_photo)
    app.get("/image")(image)
    app.get("/download")(download)
    app.middleware("http")(_with_headers)
    app.exception_handler(PipelineError)(_refused)
    app.exception_handler(ClientError)(_unreachable)
    app.exception_handler(BotoCoreError)(_unreachable)
    return app


def result(session: SessionDep, run_id: RunId, dag_id: str = DAG_ID) -> str:
    """The page of a run: its result, or how far it is."""
    if dag_id != DAG_ID:
        raise NotFoundError(f"Runs of {dag_id} have no result of their own: open one of {DAG_ID}.")
    run = _run(session, run_id)
    if run.state in _UNDER_WAY:
        return _under_way(run)
    if run.layout is None:
        raise PageError(f"The run {run.state} before it had looked at its photos. {run.note or ''}")
    return stored_page.as_served(_s3(run), run.layout, can_predict=bool(Deployment().predict_python))


def runs(session: SessionDep) -> str:
    """The page of all runs: those that Airflow knows, and those that their bucket's index has besides."""
    known = stored_runs(session)
    places = {(run.region, run.layout.bucket): run for run in known if run.layout}
    lines = [line for run in places.values() for line in run_index.read(_s3(run), _layout(run).bucket)]
    lines.sort(key=lambda line: line["started_at"], reverse=True)
    under_way = [(run.run_id, run.state) for run in known if run.state in _UNDER_WAY]
    return runs_page(lines, under_way)


def compare(session: SessionDep, run_id: Annotated[list[str], Query()]) -> str:
    """Two runs side by side."""
    if len(run_id) != 2:
        raise PageError(f"{len(run_id)} runs are chosen: choose two to compare.")
    one, other = (
        stored_page.report_of(_s3(run), _layout(run)) for run in (_run(session, each) for each in run_id)
    )
    return comparison_page(one, other)


def photo(session: SessionDep, run_id: RunId, key: Key) -> str:
    """The page of one photo, with those that look most like it."""
    run = _run(session, run_id)
    s3, result = _s3(run), _result_of(run)
    # The result's own table has addresses, which people paste as well.
    key = key.removeprefix(result.uri(""))
    photos.check(s3, result, key)
    index = near_photos.index_of(s3, result)
    near = index.nearest(key) if index else None
    return rendered(
        "photo.html",
        title=key.rpartition("/")[2],
        run_id=run.run_id,
        key=key,
        label=label_of(key),
        near=near,
        alone=photos.why_alone(s3, result, key) if near is None else None,
    )


async def try_photo(request: Request, session: SessionDep, run_id: RunId) -> str:
    """What the run's classifier says of a photo that somebody gives; the photo is kept nowhere."""
    same_origin.check(request.headers)
    _check_size(request.headers.get("content-length"))
    # Only here, because FastAPI would read a declared form before it asks whether the person may send one.
    async with request.form(max_files=1, max_fields=1) as form:
        sent = form.get("photo")
        photo = await sent.read() if isinstance(sent, UploadFile) else b""
    return await run_in_threadpool(_tried, session, run_id, photo)


def image(session: SessionDep, run_id: RunId, key: Key) -> Response:
    """One photo of the run, if it stands in the run's own files and is a picture by its bytes."""
    run = _run(session, run_id)
    body, media_type = photos.photo(_s3(run), _result_of(run), key)
    return Response(body, media_type=media_type)


def download(session: SessionDep, run_id: RunId, file: str) -> Response:
    """One of the run's files."""
    run = _run(session, run_id)
    s3, layout = _s3(run), _layout(run)
    attachment = {"Content-Disposition": f'attachment; filename="{layout.run_key}-{file}"'}
    if file in _TABLES:
        rows = _csv(_TABLES[file](s3, _result_of(run)))
        return StreamingResponse(rows, media_type="text/csv; charset=utf-8", headers=attachment)
    if file not in _DOWNLOADS:
        raise NotFoundError(f"There is no file {file!r} here: choose {', '.join([*_DOWNLOADS, *_TABLES])}.")
    try:
        answer = s3.get_object(Bucket=layout.bucket, Key=f"{layout.reports}{file}")
    except s3.exceptions.NoSuchKey:
        raise NotFoundError(f"The run has left no {file}.") from None
    return StreamingResponse(answer["Body"].iter_chunks(), media_type=_DOWNLOADS[file], headers=attachment)


def _check_size(length: str | None) -> None:
    if length is None or not length.isdecimal():
        raise PageError("The form came without its length: send it from a browser.")
    if int(length) > prediction.MOST_BYTES + _FORM_BYTES:
        raise PageError(
            f"The photo has some {int(length):,} bytes; at most {prediction.MOST_BYTES:,} are taken: "
            "make it smaller."
        )


def _tried(session: Any, run_id: str, photo: bytes) -> str:
    run = _run(session, run_id)
    s3, result = _s3(run), _result_of(run)
    found = prediction.predict(s3, result, photo, Deployment())
    index = near_photos.index_of(s3, result) if found.components else None
    return rendered(
        "prediction.html",
        title=found.label or "No label",
        run_id=run.run_id,
        found=found,
        near=index.nearest_to(found.components) if index else [],
    )


def _run(session: Any, run_id: str) -> StoredRun:
    # A plus that was not encoded, as in most ids of Airflow, has come as a blank.
    run = stored_run(session, run_id) or stored_run(session, run_id.replace(" ", "+"))
    if run is None:
        raise NotFoundError(f"There is no run {run_id!r} of {DAG_ID}.")
    return run


def _layout(run: StoredRun) -> RunLayout:
    if run.layout is None:
        raise NotFoundError("The run has not looked at its photos yet.")
    return run.layout


def _result_of(run: StoredRun) -> RunLayout:
    return stored_page.result_of(_s3(run), _layout(run))


def _s3(run: StoredRun) -> Any:
    assert run.region is not None
    check_region(run.region, "The run's region")
    return _client(run.region, int(time.monotonic() // _CLIENT_SECONDS))


@lru_cache(maxsize=4)
def _client(region: str, _age: int) -> Any:
    return clients.client("s3", region, _S3_CONFIG)


def _under_way(run: StoredRun) -> str:
    said = progress.read(_s3(run), run.layout.uri(run.layout.progress), run.started) if run.layout else None
    return rendered(
        "under_way.html",
        title=f"Run {run.run_id} is {run.state}",
        run=run,
        progress=said,
        refresh=_REFRESH_SECONDS,
    )


def _csv(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line)
    for row in rows:
        writer.writerow([defused(cell) for cell in row])
        yield line.getvalue()
        line.seek(0)
        line.truncate()


async def _with_headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await call_next(request)
    response.headers.update(_HEADERS)
    return response


def _message(sentence: str, status: int) -> HTMLResponse:
    page = rendered("message.html", title="Result", message=sentence, refresh=None)
    return HTMLResponse(page, status_code=status, headers=_HEADERS)


def _refused(_: Request, error: Exception) -> HTMLResponse:
    return _message(str(error), 404 if isinstance(error, NotFoundError) else 409)


def _unreachable(_: Request, error: Exception) -> HTMLResponse:
    said = redacted(str(error))
    log.warning("A page was asked for, and S3 could not be: %s", said)
    return _message(f"S3 does not answer as it should ({said}): try again later.", 502)
