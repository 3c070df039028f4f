"""In place of S3's console: the page of a step's log, of a step that is under way too.

A link of Airflow's page leads here, so that a browser of this machine may be sent to it from any site. The
page is text, changes nothing, and no site that sends a browser here can read it.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from werkzeug.wrappers import Request, Response

from local_aws.emr.logs import LOG_NAMES
from local_aws.loopback import WsgiApp

PREFIX: Final = "/s3/buckets/"
_STEP: Final = re.compile(r"(?:^|/)(j-\w+)/steps/(s-\w+)/$")
"""At the end of the prefix of a step's logs."""


class Console:
    """The WSGI application in front of another, to which it passes on what is not below its own path."""

    def __init__(self, app: WsgiApp, steps: Path) -> None:
        """``steps`` has what the steps leave, by cluster and step."""
        self._app, self._steps = app, steps

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return self._app(environ, start_response)
        return self._page(Request(environ))(environ, start_response)

    def _page(self, request: Request) -> Response:
        asked = _STEP.search(request.args.get("prefix", ""))
        folder = self._steps.joinpath(*asked.groups()) if asked else None
        if request.method != "GET" or folder is None or not folder.is_dir():
            return Response("Local AWS has a page for the log of each step that has begun.\n", status=404)
        logs = [folder / name for name in LOG_NAMES]
        text = "\n".join(f"=== {log.name} ===\n{_read(log)}" for log in logs)
        return Response(text, content_type="text/plain; charset=utf-8")


def _read(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
