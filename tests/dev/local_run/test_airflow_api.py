"""A local Airflow whose database is busy is asked again; what it refuses for good is said at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from local_run import airflow_server
from local_run.airflow_server import AirflowApi, AirflowError


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_server, "_PAUSE_SECONDS", 0.0)


@contextmanager
def airflow(status: Callable[[int], int]) -> Iterator[tuple[AirflowApi, list[str]]]:
    """An API whose n-th answer has this status; the requests that it has seen."""
    seen: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            seen.append(f"{self.command} {self.path}")
            body = b'{"state": "running", "detail": "what was wrong"}'
            self.send_response(status(len(seen)))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815 - the names that http.server calls

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield AirflowApi(f"http://127.0.0.1:{server.server_port}", []), seen
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.trigger("dag", "run", {}),
        lambda api: api.run_state("dag", "run"),
        lambda api: api.call("PATCH", "/dags/dag", {"is_paused": True}).raise_for_status(),
    ],
    ids=["a run is triggered", "its state is read", "something is changed"],
)
def test_a_busy_database_is_asked_again(ask: Callable[[AirflowApi], object]) -> None:
    with airflow(lambda number: 500 if number < 3 else 200) as (api, seen):
        ask(api)
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_one_that_stays_broken_is_given_up() -> None:
    with airflow(lambda _: 500) as (api, seen), pytest.raises(AirflowError, match="what was wrong"):
        api.trigger("dag", "run", {})
    assert len(seen) == airflow_server._ATTEMPTS


def test_what_is_refused_is_not_asked_again() -> None:
    with airflow(lambda _: 409) as (api, seen), pytest.raises(AirflowError, match="what was wrong"):
        api.trigger("dag", "run", {})
    assert len(seen) == 1
