"""In place of S3's console: a bucket's folders, and the log of a step, of one that is under way too.

A link of Airflow's page leads here, so that a browser of this machine may be sent to it from any site. The
pages are text, change nothing, and no site that sends a browser here can read them.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from botocore.client import BaseClient
from botocore.exceptions import ClientError, ParamValidationError
from werkzeug.wrappers import Request, Response

from local_aws import bucket_tree
from local_aws.emr.logs import LOG_NAMES
from local_aws.loopback import WsgiApp

PREFIX: Final = "/s3/buckets/"
_STEP: Final = re.compile(r"(?:^|/)(j-\w+)/steps/(s-\w+)/$")
"""At the end of the prefix of a step's logs."""


class Console:
    """The WSGI application in front of another, to which it passes on what is not below its own path."""

    def __init__(self, app: WsgiApp, steps: Path, s3: BaseClient) -> None:
        """``steps`` has what the steps leave, by cluster and step."""
        self._app, self._steps, self._s3 = app, steps, s3

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ.get("PATH_INFO", "").startswith(PREFIX):
            return self._app(environ, start_response)
        return self._page(Request(environ))(environ, start_response)

    def _page(self, request: Request) -> Response:
        prefix = request.args.get("prefix", "")
        asked = _STEP.search(prefix)
        bucket = request.path.removeprefix(PREFIX).strip("/")
        text = None
        if request.method == "GET":
            text = self._log(*asked.groups()) if asked else self._folders(bucket, prefix)
        if text is None:
            known = "Local AWS has a page for each bucket, and for the log of each step that has begun.\n"
            return Response(known, status=404)
        return Response(text, content_type="text/plain; charset=utf-8")

    def _log(self, cluster_id: str, step_id: str) -> str | None:
        folder = self._steps / cluster_id / step_id
        if not folder.is_dir():
            return None
        logs = [folder / name for name in LOG_NAMES]
        return "\n".join(f"=== {log.name} ===\n{_read(log)}" for log in logs)

    def _folders(self, bucket: str, prefix: str) -> str | None:
        """None where the bucket is not there, or has nothing below the prefix."""
        try:
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            objects = [(each["Key"], each["Size"]) for page in pages for each in page.get("Contents", ())]
        except (ClientError, ParamValidationError):
            return None
        return bucket_tree.as_text(bucket, bucket_tree.tree(objects, prefix)) if objects else None


def _read(log: Path) -> str:
    return log.read_text(errors="replace") if log.exists() else ""
