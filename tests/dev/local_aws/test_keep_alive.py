"""Promise: a connection serves requests until its client or its server ends it, and never half a request."""

import http.client
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from local_aws.loopback import LoopbackServer, QuietHandler


class Echo:
    """Answers with the request's body, and keeps it. A path of ``/fail`` raises."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/fail":
            raise RuntimeError("wrong inside")
        self.bodies.append(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [self.bodies[-1]]


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def server(echo: Echo) -> Iterator[LoopbackServer]:
    server = LoopbackServer(echo, 0, QuietHandler)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def connection(server: LoopbackServer) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.connect()
    return connection


def ask(connection: http.client.HTTPConnection, method: str, path: str, **more: Any) -> tuple[int, bytes]:
    connection.request(method, path, **more)
    response = connection.getresponse()
    return response.status, response.read()


def test_the_next_request_is_read_from_its_beginning(connection: http.client.HTTPConnection) -> None:
    there, long = connection.sock, b"x" * 1_000_000
    assert ask(connection, "PUT", "/", body=long) == (200, long)
    assert ask(connection, "HEAD", "/") == (200, b"")
    assert ask(connection, "PUT", "/fail", body=b"GET / HTTP/1.1\r\n\r\n")[0] == 500
    assert ask(connection, "PUT", "/", body=b"a", headers={"Expect": "100-continue"}) == (200, b"a")
    assert connection.sock is there


def test_a_body_in_chunks_is_whole_and_ends_the_connection(connection: http.client.HTTPConnection) -> None:
    assert ask(connection, "PUT", "/", body=iter([b"in ", b"chunks"])) == (200, b"in chunks")
    assert connection.sock is None


@pytest.mark.parametrize("headers", [{b"x-amz-meta-\xe9": "b"}, {"Content-Length": "-1"}])
def test_headers_that_hide_the_body_are_refused(
    connection: http.client.HTTPConnection, echo: Echo, headers: dict[Any, str]
) -> None:
    assert ask(connection, "PUT", "/", headers=headers)[0] == 400
    assert connection.sock is None
    assert echo.bodies == []


def test_half_a_request_is_none(server: LoopbackServer, echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\nhalf")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert echo.bodies == []


def test_a_stopped_server_takes_no_request_on_an_old_connection(
    server: LoopbackServer, connection: http.client.HTTPConnection, echo: Echo
) -> None:
    assert ask(connection, "PUT", "/", body=b"before")[0] == 200
    server.stop()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        ask(connection, "PUT", "/", body=b"after")
    assert echo.bodies == [b"before"]
