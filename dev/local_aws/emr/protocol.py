"""The wire: EMR's JSON 1.1 over HTTP, as a WSGI application.

``X-Amz-Target`` names the operation; the region is the one the request was signed for. Signatures
are not checked: any credentials do, as they do for moto.
"""

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from local_aws.emr.api_errors import (
    ApiError,
    InternalError,
    MissingTokenError,
    SerializationError,
    UnknownOperationError,
)
from local_aws.loopback import WsgiApp

_TARGET_PREFIX = "ElasticMapReduce."
_CONTENT_TYPE = "application/x-amz-json-1.1"
_SCOPE = re.compile(r"Credential=[^/\s]+/\d{8}/(?P<region>[a-z0-9-]+)/elasticmapreduce/aws4_request")
_REASONS = {200: "OK", 400: "Bad Request", 500: "Internal Server Error"}


@dataclass(frozen=True)
class ApiCall:
    """One request, before its parameters are checked."""

    operation: str
    region: str
    parameters: dict[str, Any]


Handler = Callable[[ApiCall], dict[str, Any]]
"""What answers a call, or raises :class:`ApiError`."""


def emr_application(handle: Handler) -> WsgiApp:
    """The WSGI application that speaks for ``handle``."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request_id = str(uuid.uuid4())
        status, answer = 200, dict[str, Any]()
        try:
            # The body is always read: an unread one would garble the next request of the connection.
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            answer = handle(_parse(environ, body))
        except ApiError as error:
            status, answer = error.http_status, _error_body(error)
        except Exception:
            logging.getLogger(__name__).exception("The EMR endpoint failed on request %s", request_id)
            failure = InternalError("An internal error occurred. The endpoint's own log says more.")
            status, answer = failure.http_status, _error_body(failure)
        payload = json.dumps(answer).encode()
        headers = [
            ("Content-Type", _CONTENT_TYPE),
            ("Content-Length", str(len(payload))),
            ("x-amzn-RequestId", request_id),
        ]
        start_response(f"{status} {_REASONS[status]}", headers)
        return [payload]

    return application


def _parse(environ: dict[str, Any], body: bytes) -> ApiCall:
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if not target.startswith(_TARGET_PREFIX):
        raise UnknownOperationError(f"X-Amz-Target {target!r} is not an operation of ElasticMapReduce.")
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    if scope is None:
        raise MissingTokenError("Missing Authentication Token")
    try:
        parameters = json.loads(body or b"{}")
    except ValueError as error:
        raise SerializationError(f"The request body is not JSON: {error}.") from error
    if not isinstance(parameters, dict):
        raise SerializationError("The request body is not a JSON object.")
    return ApiCall(target.removeprefix(_TARGET_PREFIX), scope["region"], parameters)


def _error_body(error: ApiError) -> dict[str, Any]:
    if error.type == "InvalidRequestException":
        body: dict[str, Any] = {"__type": error.type, "Message": error.message}
        return body | ({"ErrorCode": error.code} if error.code else {})
    return {"__type": error.type, "message": error.message}
