"""The control interface: JSON over HTTP below ``/_control`` of the EMR endpoint."""

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from local_aws.call_log import CallLog
from local_aws.clock import Factors
from local_aws.emr.outside_events import EventError, OutsideEvent
from local_aws.emr.pending_events import PendingEvent, PendingEvents
from local_aws.fault_injection import ApplyEvent
from local_aws.faults import Fault, Faults
from local_aws.loopback import WsgiApp

PREFIX = "/_control"
Asked = TypeVar("Asked")
_FACTORS = TypeAdapter[Factors](Factors)
_FAULT = TypeAdapter[Fault](Fault)
_PENDING = TypeAdapter[PendingEvent](PendingEvent)
_EVENT = TypeAdapter[OutsideEvent](OutsideEvent)


class UnknownClusterError(Exception):
    """There is no cluster of this id; the message says so."""


class _RefusedError(Exception):
    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class ControlApi:
    """The WSGI application in front of EMR's: what is not below the prefix is passed on."""

    def __init__(
        self,
        emr: WsgiApp,
        faults: Faults,
        pending_events: PendingEvents,
        call_log: CallLog,
        apply_event: ApplyEvent,
        set_factors: Callable[[Factors], None],
    ) -> None:
        self._emr, self._faults, self._pending_events = emr, faults, pending_events
        self._call_log, self._apply_event, self._change_clock = call_log, apply_event, set_factors
        self._routes = Map(
            [
                Rule("/", methods=["DELETE"], endpoint=self._reset),
                Rule("/faults", methods=["POST"], endpoint=self._add_fault),
                Rule("/faults", methods=["GET"], endpoint=self._list_faults),
                Rule("/faults", methods=["DELETE"], endpoint=self._clear_faults),
                Rule("/faults/<record_id>", methods=["DELETE"], endpoint=self._remove_fault),
                Rule("/pending-events", methods=["POST"], endpoint=self._add_event),
                Rule("/pending-events", methods=["GET"], endpoint=self._list_events),
                Rule("/pending-events", methods=["DELETE"], endpoint=self._clear_events),
                Rule("/pending-events/<record_id>", methods=["DELETE"], endpoint=self._remove_event),
                Rule("/clusters/<cluster_id>/<name>", methods=["POST"], endpoint=self._cause_now),
                Rule("/clock", methods=["PUT"], endpoint=self._set_factors),
                Rule("/calls", methods=["GET"], endpoint=self._list_calls),
                Rule("/calls", methods=["DELETE"], endpoint=self._clear_calls),
            ],
            strict_slashes=False,
        )

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            return self._emr(environ, start_response)
        return self._answer(environ)(environ, start_response)

    def _answer(self, environ: dict[str, Any]) -> Response:
        request = Request(environ)
        path = environ["PATH_INFO"].removeprefix(PREFIX) or "/"
        try:
            endpoint, arguments = self._routes.bind("").match(path, method=request.method)
            status, answer = 200, endpoint(request, **arguments)
        except _RefusedError as error:
            status, answer = error.status, {"error": str(error)}
        except UnknownClusterError as error:
            status, answer = 404, {"error": str(error)}
        except EventError as error:
            status, answer = 409, {"error": str(error)}
        except HTTPException as error:
            status = error.code or 500
            answer = {"error": f"{request.method} {PREFIX}{path} is not part of the control interface."}
        return Response(json.dumps(answer), status=status, content_type="application/json")

    def _reset(self, request: Request) -> Any:
        self._faults.clear()
        self._pending_events.clear()
        self._call_log.clear()
        return {}

    def _add_fault(self, request: Request) -> Any:
        return _shown(self._faults.add(_asked(_FAULT, _json(request), "fault")))

    def _list_faults(self, request: Request) -> Any:
        return {"faults": [_shown(each) for each in self._faults.records()]}

    def _clear_faults(self, request: Request) -> Any:
        self._faults.clear()
        return {}

    def _remove_fault(self, request: Request, record_id: str) -> Any:
        if not self._faults.remove(record_id):
            raise _RefusedError(404, f"There is no fault {record_id!r}: GET {PREFIX}/faults lists them.")
        return {}

    def _add_event(self, request: Request) -> Any:
        return _shown(self._pending_events.add(_asked(_PENDING, _json(request), "pending event")))

    def _list_events(self, request: Request) -> Any:
        return {"pending_events": [_shown(each) for each in self._pending_events.records()]}

    def _clear_events(self, request: Request) -> Any:
        self._pending_events.clear()
        return {}

    def _remove_event(self, request: Request, record_id: str) -> Any:
        if not self._pending_events.remove(record_id):
            raise _RefusedError(
                404, f"There is no pending event {record_id!r}: GET {PREFIX}/pending-events lists them."
            )
        return {}

    def _cause_now(self, request: Request, cluster_id: str, name: str) -> Any:
        self._apply_event(cluster_id, _asked(_EVENT, {**_json(request), "kind": name}, "event"))
        return {}

    def _set_factors(self, request: Request) -> Any:
        self._change_clock(_asked(_FACTORS, _json(request), "clock"))
        return {}

    def _list_calls(self, request: Request) -> Any:
        return _shown(self._call_log.read(request.args.get("service"), request.args.get("operation")))

    def _clear_calls(self, request: Request) -> Any:
        self._call_log.clear()
        return {}


def _shown(record: BaseModel) -> Any:
    return record.model_dump(mode="json")


def _json(request: Request) -> dict[str, Any]:
    body = request.get_data()
    try:
        parsed = json.loads(body or b"{}")
    except ValueError as error:
        raise _RefusedError(400, f"The request body is not JSON: {error}.") from error
    if not isinstance(parsed, dict):
        raise _RefusedError(400, "The request body is not a JSON object.")
    return parsed


def _asked(kind: TypeAdapter[Asked], parameters: dict[str, Any], name: str) -> Asked:
    try:
        return kind.validate_python(parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        what = first["msg"].removeprefix("Value error, ")
        raise _RefusedError(
            400, f"The {name} cannot be used: {f'{where}: ' if where else ''}{what}."
        ) from error
