"""WSGI applications served on 127.0.0.1 and nowhere else.

Any page on the Web reaches loopback too, by way of its reader's browser. A browser says so by Origin or
Sec-Fetch-Site. It says nothing if the site's name was made to mean 127.0.0.1 (DNS rebinding): the name is in
Host then.

A page may be open to links. A person comes to it from any site, and the site sees nothing of it.
"""

import logging
import socket
from collections.abc import Callable, Iterable
from threading import Thread
from typing import Any, Final

from werkzeug.sansio.utils import host_is_trusted
from werkzeug.wrappers import Response

from local_aws.keep_alive import KeepAliveHandler, KeepAliveServer

HOST = "127.0.0.1"

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
_LOG: Final = logging.getLogger(__name__)
_OWN_NAMES: Final = [HOST, "localhost"]
_OWN_SITES: Final = ("same-origin", "none")
"""Of Sec-Fetch-Site: a page of the same server, or what a person has typed."""


class PortTakenError(OSError):
    """The asked-for port cannot be listened on."""


class LoopbackServer:
    """One threaded WSGI server for programs of this machine and its own pages.

    Listens from construction on, answers from :meth:`start` on.
    """

    def __init__(
        self, app: WsgiApp, port: int, handler: type[KeepAliveHandler], linked: str | None = None
    ) -> None:
        """Paths that begin with ``linked`` are open to links of other sites."""
        self._server = _listening_server(own_pages_only(app, linked), port, handler)
        self.port: int = self._server.server_address[1]
        self.url = f"http://{HOST}:{self.port}"
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True, name=self.url
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop accepting; answers still being written do not hold the caller up."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.hang_up()


def _listening_server(app: WsgiApp, port: int, handler: type[KeepAliveHandler]) -> KeepAliveServer:
    # werkzeug ends the process when the port is taken, so the socket is bound here and handed over.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            raise PortTakenError(
                f"Port {port} on {HOST} cannot be used ({error.strerror}): free it, or choose another."
            ) from error
        listener.listen(128)
        bound: int = listener.getsockname()[1]
        # The server duplicates the descriptor, so that closing ours is right.
        return KeepAliveServer(HOST, bound, app, handler, fd=listener.fileno())


def own_pages_only(app: WsgiApp, linked: str | None = None) -> WsgiApp:
    """The application for programs and its own pages alone; any other page gets a 403.

    But a browser may follow a link to what begins with ``linked``.
    """

    def guarded(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if _is_own(environ) or (linked and _follows_a_link(environ, linked)):
            return app(environ, start_response)
        refusal = "Local AWS answers programs of this machine, and no page of another site.\n"
        return Response(refusal, status=403)(environ, start_response)

    return guarded


def _follows_a_link(environ: dict[str, Any], linked: str) -> bool:
    """Whether a browser opens a page of its own for the answer: in no frame, and for no script."""
    return (
        host_is_trusted(environ.get("HTTP_HOST", ""), _OWN_NAMES)
        and environ["REQUEST_METHOD"] == "GET"
        and environ.get("PATH_INFO", "").startswith(linked)
        and environ.get("HTTP_SEC_FETCH_MODE") == "navigate"
        and environ.get("HTTP_SEC_FETCH_DEST") == "document"
    )


def _is_own(environ: dict[str, Any]) -> bool:
    host = environ.get("HTTP_HOST", "")
    return (
        host_is_trusted(host, _OWN_NAMES)
        and environ.get("HTTP_ORIGIN", f"http://{host}") == f"http://{host}"
        and environ.get("HTTP_SEC_FETCH_SITE", "none") in _OWN_SITES
    )


class QuietHandler(KeepAliveHandler):
    """Does not print one line for each request: thousands of photos would drown everything else."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        _LOG.debug("%s %s", self.requestline, code)
