"""A typed client of the control interface: faults, events and calls, without building JSON by hand.

control = Control(os.environ["AWS_ENDPOINT_URL_EMR"])
control.add_fault(Fault(service="emr", operation="RunJobFlow", calls=1, effect=Drop()))
control.cause(cluster_id, ReclaimSpot(role="CORE"))
"""

import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, urlencode

from local_aws.call_log import LoggedCalls
from local_aws.clock import Factors
from local_aws.control_api import PREFIX
from local_aws.emr.outside_events import OutsideEvent
from local_aws.emr.pending_events import Condition, PendingEvent, PendingEventRecord
from local_aws.faults import Fault, FaultRecord

_SECONDS = 30.0


class ControlError(Exception):
    """The endpoint refused; the message is its own sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Control:
    """Speaks to one endpoint. Every method raises :class:`ControlError` when it refuses."""

    def __init__(self, emr_url: str) -> None:
        self._url = emr_url.rstrip("/") + PREFIX
        # Loopback never goes through a proxy, whatever the environment says.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def add_fault(self, fault: Fault) -> str:
        """Put a rule in force; return its id."""
        record = self._call("POST", "/faults", fault.model_dump(mode="json"))
        return FaultRecord.model_validate(record).id

    def faults(self) -> list[FaultRecord]:
        """The rules in force, oldest first."""
        listed = self._call("GET", "/faults")["faults"]
        return [FaultRecord.model_validate(each) for each in listed]

    def fault(self, fault_id: str) -> FaultRecord:
        """One rule and its counters; ``KeyError`` when it is not in force."""
        for record in self.faults():
            if record.id == fault_id:
                return record
        raise KeyError(fault_id)

    def remove_fault(self, fault_id: str) -> None:
        self._call("DELETE", f"/faults/{quote(fault_id)}")

    def cause(self, cluster_id: str, event: OutsideEvent) -> None:
        """Let this happen to the cluster now."""
        parameters = event.model_dump(mode="json", exclude={"kind"})
        self._call("POST", f"/clusters/{quote(cluster_id)}/{event.kind}", parameters)

    def cause_later(
        self,
        event: OutsideEvent,
        *,
        state: str | None = None,
        step: str | None = None,
        cluster_name: str | None = None,
    ) -> str:
        """Let it happen once, to the next cluster that comes to a state or whose step of this name begins.

        Returns the pending event's id.
        """
        when = Condition.model_validate({"state": state, "step": step, "cluster_name": cluster_name})
        record = self._call(
            "POST", "/pending-events", PendingEvent(event=event, when=when).model_dump(mode="json")
        )
        return PendingEventRecord.model_validate(record).id

    def pending_events(self) -> list[PendingEventRecord]:
        """The pending events, those that have happened included, oldest first."""
        return [
            PendingEventRecord.model_validate(each)
            for each in self._call("GET", "/pending-events")["pending_events"]
        ]

    def cancel_event(self, event_id: str) -> None:
        self._call("DELETE", f"/pending-events/{quote(event_id)}")

    def logged_calls(self, service: str | None = None, operation: str | None = None) -> LoggedCalls:
        """The calls seen since the last :meth:`clear`."""
        asked = {
            name: value
            for name, value in (("service", service), ("operation", operation))
            if value is not None
        }
        return LoggedCalls.model_validate(self._call("GET", f"/calls?{urlencode(asked)}"))

    def set_factors(self, factors: Factors) -> None:
        """Waits and limits, those under way too, are shortened by these; :meth:`clear` leaves them."""
        self._call("PUT", "/clock", factors.model_dump(mode="json"))

    def clear(self) -> None:
        """No rule, no pending event, no call counted. Clusters stay as they are."""
        self._call("DELETE", "")

    def _call(self, method: str, path: str, parameters: dict[str, Any] | None = None) -> Any:
        body = json.dumps(parameters).encode() if parameters is not None else None
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self._url + path, data=body, headers=headers, method=method)
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ControlError(error.code, str(json.load(error)["error"])) from None
