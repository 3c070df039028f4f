"""HTTP/1.1 connections that serve one request after the other: werkzeug's own close after each.

A client needs no new connection, and the server no new thread, for each photo. And an answer goes out at
once: werkzeug sends it in pieces, and after each the other threads have their turn.
"""

import io
import socket
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from werkzeug.exceptions import InternalServerError
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

_WITHOUT_BODY: Final = (204, 304)


class KeepAliveHandler(WSGIRequestHandler):
    """Reads a request to its end before the application has it, so that the next one can follow."""

    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server: "KeepAliveServer"

    def handle_expect_100(self) -> bool:
        goes_on = super().handle_expect_100()
        self.wfile.flush()
        return goes_on

    def run_wsgi(self) -> None:
        if self.server.has_hung_up:  # a request that was on its way then
            self.close_connection = True
            return
        self.environ = environ = self.make_environ()
        length = environ.get("CONTENT_LENGTH") or "0"
        # At a name that is not ASCII Python ends the headers, and takes the rest of them for the body.
        if self.headers.get_payload() or not length.isdecimal():
            self.send_error(400, "The request's headers cannot be read")
            return
        if environ.get("wsgi.input_terminated"):
            body = environ["wsgi.input"].read()
            self.close_connection = True  # what may follow the last chunk is not read
        else:
            body = self.rfile.read(int(length))
            if len(body) < int(length):
                raise ConnectionAbortedError("the client left in the middle of a request")
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            answer = _answer(self.server.app, environ)
        except ConnectionError:
            raise
        except Exception:
            self.server.log("error", "Error on request:\n%s", traceback.format_exc())
            answer = _answer(InternalServerError(), environ)
        self._send(*answer)

    def _send(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        has_body = self.command != "HEAD" and int(code) not in _WITHOUT_BODY
        if has_body and "content-length" not in {name.lower() for name, _ in headers}:
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if has_body:
            self.wfile.write(content)


def _answer(app: Callable[..., Any], environ: dict[str, Any]) -> tuple[str, list[tuple[str, str]], bytes]:
    started: list[Any] = []

    def start_response(*arguments: Any) -> None:
        started[:] = arguments

    body = app(environ, start_response)
    try:
        content = b"".join(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    return started[0], started[1], content


class KeepAliveServer(ThreadedWSGIServer):
    """A thread for each connection. It knows them all, for they would outlive it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._connections: set[socket.socket] = set()
        self.has_hung_up = False
        super().__init__(*args, **kwargs)

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Take no further request on any connection; an answer still being written is not cut off."""
        self.has_hung_up = True
        for connection in self._connections.copy():
            with suppress(OSError):  # the client was quicker
                connection.shutdown(socket.SHUT_RD)
