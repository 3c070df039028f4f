"""A WSGI application whose calls are counted and meet the faults in force. Without any, nothing changes."""

import io
import json
import logging
import re
import socket
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from local_aws.call_log import Call, CallLog
from local_aws.clock import Clock
from local_aws.emr.outside_events import EventError, OutsideEvent
from local_aws.faults import Drop, Error, Faults, ServiceName, Throttle
from local_aws.iam_operations import iam_operation
from local_aws.loopback import WsgiApp
from local_aws.s3_operations import s3_operation
from local_aws.sqs_operations import TARGET_PREFIX

Environ = dict[str, Any]
ApplyEvent = Callable[[str, OutsideEvent], None]
"""Lets an event happen to the cluster of this id."""

INTERNAL_AGENT = "local-aws-endpoint"
"""In the user agent of local AWS's own calls (logs, scripts): they are no client's, and meet no fault."""
_SCOPE = re.compile(r"Credential=[^/\s]+/\d{8}/[a-z0-9-]+/(?P<service>[a-z0-9-]+)/aws4_request")
_EMR_IDS = ("ClusterId", "JobFlowId", "ResourceId")


@dataclass(frozen=True)
class Identified:
    """What a request asks for."""

    operation: str
    target: str | None
    key: str | None = None
    """What a rule's key_prefix and key_pattern are compared with."""


class ServiceAdapter(Protocol):
    """What the calls and the errors of one service look like."""

    service: ServiceName
    throttled: Error

    def identify(self, environ: Environ) -> Identified | None:
        """None for a request that is not this service's, which is then let through."""

    def error_body(self, error: Error, request_id: str) -> tuple[str, bytes]:
        """Content type and body."""


class EmrAdapter:
    service: ServiceName = "emr"
    throttled = Error(status=400, code="ThrottlingException", message="Rate exceeded")

    def identify(self, environ: Environ) -> Identified | None:
        prefix, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if prefix != "ElasticMapReduce":
            return None
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return Identified(operation, _cluster_id(body))

    def error_body(self, error: Error, request_id: str) -> tuple[str, bytes]:
        body = json.dumps({"__type": error.code, "message": error.message})
        return "application/x-amz-json-1.1", body.encode()


class IamAdapter:
    service: ServiceName = "iam"
    throttled = Error(status=400, code="Throttling", message="Rate exceeded")

    def identify(self, environ: Environ) -> Identified | None:
        scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None or scope["service"] != "iam":
            return None
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = iam_operation(body)
        return Identified(operation, None) if operation else None

    def error_body(self, error: Error, request_id: str) -> tuple[str, bytes]:
        text = (
            f"<ErrorResponse><Error><Code>{escape(error.code)}</Code>"
            f"<Message>{escape(error.message)}</Message></Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
        return "text/xml", text.encode()


class SqsAdapter:
    """SQS in the JSON protocol that clients of today speak; the old query protocol meets no fault."""

    service: ServiceName = "sqs"
    throttled = Error(status=403, code="RequestThrottled", message="Request is throttled.")

    def identify(self, environ: Environ) -> Identified | None:
        prefix, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").partition(".")
        if prefix != TARGET_PREFIX:
            return None
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        return Identified(operation, _queue_name(body))

    def error_body(self, error: Error, request_id: str) -> tuple[str, bytes]:
        body = json.dumps({"__type": f"com.amazonaws.sqs#{error.code}", "message": error.message})
        return "application/x-amz-json-1.0", body.encode()


class S3Adapter:
    service: ServiceName = "s3"
    throttled = Error(status=503, code="SlowDown", message="Please reduce your request rate.")

    def identify(self, environ: Environ) -> Identified | None:
        if not _is_s3(environ):
            return None
        # WSGI hands the path over as if it were Latin-1; keys are UTF-8.
        path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
        query = environ.get("QUERY_STRING", "")
        headers = {
            name.removeprefix("HTTP_").replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        key = path.lstrip("/").partition("/")[2] or dict(parse_qsl(query)).get("prefix")
        operation = s3_operation(environ["REQUEST_METHOD"], path, query, headers)
        return Identified(operation, path.lstrip("/") or None, key)

    def error_body(self, error: Error, request_id: str) -> tuple[str, bytes]:
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(error.code)}</Code><Message>{escape(error.message)}</Message>"
            f"<RequestId>{request_id}</RequestId></Error>"
        )
        return "application/xml", text.encode()


class FaultInjector:
    """Wraps the application of one service."""

    def __init__(
        self,
        app: WsgiApp,
        adapter: ServiceAdapter,
        faults: Faults,
        call_log: CallLog,
        clock: Clock,
        apply_event: ApplyEvent | None = None,
    ) -> None:
        self._app, self._adapter, self._faults = app, adapter, faults
        self._call_log, self._clock, self._apply_event = call_log, clock, apply_event

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if INTERNAL_AGENT in environ.get("HTTP_USER_AGENT", ""):
            return self._app(environ, start_response)
        identified = self._adapter.identify(environ)
        if identified is None:
            return self._app(environ, start_response)
        plan = self._faults.plan(self._adapter.service, identified.operation, identified.key)
        at = self._clock.now()
        if plan.delay:
            time.sleep(plan.delay)

        def note(status: int | None, took_effect: bool, target: str | None = identified.target) -> None:
            self._call_log.add(
                Call(
                    at=at,
                    service=self._adapter.service,
                    operation=identified.operation,
                    target=target,
                    status=status,
                    took_effect=took_effect,
                    faults=plan.fault_ids,
                )
            )

        if isinstance(plan.ending, Error | Throttle):
            error = plan.ending if isinstance(plan.ending, Error) else self._adapter.throttled
            note(error.status, took_effect=False)
            return self._refuse(environ, start_response, error)
        answer = _Answer(self._app, environ)
        target = identified.target
        if self._adapter.service == "emr":  # its answers are small, and the one of RunJobFlow has the id
            target = target or _cluster_id(answer.read())
        if answer.succeeded and target is not None and self._apply_event is not None:
            for event in plan.events:
                try:
                    self._apply_event(target, event)
                except EventError as error:
                    logging.getLogger(__name__).warning("A fault's event could not happen: %s", error)
        if isinstance(plan.ending, Drop):
            answer.read()
            note(None, answer.succeeded, target)
            _hang_up(environ)
        note(answer.status, answer.succeeded, target)
        return answer.give(start_response)

    def _refuse(self, environ: Environ, start_response: Callable[..., Any], error: Error) -> Iterable[bytes]:
        request_id = str(uuid.uuid4())
        content_type, body = self._adapter.error_body(error, request_id)
        if environ["REQUEST_METHOD"] == "HEAD":
            body = b""
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("x-amz-request-id" if self._adapter.service == "s3" else "x-amzn-RequestId", request_id),
        ]
        known = {each.value: each.phrase for each in HTTPStatus}
        start_response(f"{error.status} {known.get(error.status, 'Error')}", headers)
        return [body]


class _Answer:
    """What the application answers, held back."""

    def __init__(self, app: WsgiApp, environ: Environ) -> None:
        self._started: list[Any] = []
        self._body: Iterable[bytes] = app(environ, self._start)
        self.status = int(self._started[0].split()[0])

    @property
    def succeeded(self) -> bool:
        return self.status < 400

    def _start(self, *arguments: Any) -> Callable[[bytes], None]:
        self._started = list(arguments)

        def write(data: bytes) -> None:
            raise NotImplementedError("neither application writes in the old way")

        return write

    def read(self) -> bytes:
        """The whole body, which can still be given afterwards."""
        body = self._body
        whole = b"".join(body)
        if hasattr(body, "close"):
            body.close()
        self._body = [whole]
        return whole

    def give(self, start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response(*self._started)
        return self._body


def _is_s3(environ: Environ) -> bool:
    """Whether a request to moto, which answers for many services, is one of S3."""
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    scope = _SCOPE.search(authorization)
    if scope is not None:
        return scope["service"] == "s3"
    # Without a scope: the old signature, a signed address, or a public object; moto takes those for S3 too.
    if environ.get("PATH_INFO", "").startswith("/moto-api") or "HTTP_X_AMZ_TARGET" in environ:
        return False
    form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
    return authorization.startswith("AWS ") or (not authorization and not form)


def _cluster_id(body: bytes) -> str | None:
    """The cluster that a request or an answer of EMR names, the first if it names several."""
    try:
        parameters = json.loads(body or b"{}")
    except ValueError:
        return None
    if not isinstance(parameters, dict):
        return None
    several = parameters.get("JobFlowIds")
    named = [parameters.get(name) for name in _EMR_IDS] + (several if isinstance(several, list) else [])
    return next((each for each in named if isinstance(each, str)), None)


def _queue_name(body: bytes) -> str | None:
    """The queue that a request names, by its address or its name."""
    try:
        parameters = json.loads(body or b"{}")
    except ValueError:
        return None
    named = (
        parameters.get("QueueUrl") or parameters.get("QueueName") if isinstance(parameters, dict) else None
    )
    return named.rpartition("/")[2] if isinstance(named, str) else None


def _hang_up(environ: Environ) -> None:
    connection: socket.socket = environ["werkzeug.socket"]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionAbortedError("dropped by a fault")
