"""Faults of the AWS APIs, as rules: which calls, from which on and for how long, and what happens to them.

Nothing here is random: the same calls in the same order meet the same faults.
"""

import re
from dataclasses import dataclass, field
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator

from local_aws.clock import Clock
from local_aws.emr.outside_events import OutsideEvent
from local_aws.emr.validation import emr_model
from local_aws.iam_operations import iam_model
from local_aws.numbered_records import NumberedRecords, Record
from local_aws.s3_operations import s3_model
from local_aws.sqs_operations import sqs_model

ServiceName = Literal["emr", "s3", "iam", "sqs"]
_MODELS = {"emr": emr_model, "s3": s3_model, "iam": iam_model, "sqs": sqs_model}
ANY = "*"


class _Effect(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Throttle(_Effect):
    """No effect. EMR's ThrottlingException and IAM's Throttling (400), S3's SlowDown (503), SQS's
    RequestThrottled (403)."""

    kind: Literal["throttle"] = "throttle"
    above: int | None = Field(default=None, ge=0)
    """How many calls go through in each second; None for none."""


class Error(_Effect):
    """This answer; the call has no effect."""

    kind: Literal["error"] = "error"
    status: int = Field(ge=400, le=599)
    code: str = Field(min_length=1)
    message: str = ""


class Delay(_Effect):
    """The call is made so many real seconds late. Rules after this one still count."""

    kind: Literal["delay"] = "delay"
    seconds: float = Field(gt=0, le=600)


class Drop(_Effect):
    """The call is made, and the connection closed without an answer."""

    kind: Literal["drop"] = "drop"


class CauseEvent(_Effect):
    """The call is made, then the event happens to the cluster that it names (or that RunJobFlow made)."""

    kind: Literal["event"] = "event"
    event: OutsideEvent


FaultEffect: TypeAlias = Annotated[Throttle | Error | Delay | Drop | CauseEvent, Field(discriminator="kind")]


class Fault(BaseModel):
    """One rule. It counts the calls that match, and acts on those from ``first`` on."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    service: ServiceName
    operation: str
    """Such as RunJobFlow or PutObject; ``*`` is any."""
    key_prefix: str | None = None
    """S3 only: what the object's key (for a list, its prefix) begins with."""
    key_pattern: str | None = None
    """S3 only: a regular expression that is found somewhere in it."""
    first: int = Field(default=1, ge=1)
    calls: int | None = Field(default=None, ge=1)
    """How many calls it acts on; None has no end."""
    seconds: float | None = Field(default=None, gt=0)
    """For how long it acts, counted from the first call it acts on; None has no end."""
    effect: FaultEffect

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        known = _MODELS[self.service]().operation_names
        if self.operation not in (ANY, *known):
            raise ValueError(f"operation {self.operation!r} is not one of {self.service}'s; use * for any")
        if self.service != "s3" and (self.key_prefix is not None or self.key_pattern is not None):
            raise ValueError("key_prefix and key_pattern are for service s3 only")
        if self.service != "emr" and isinstance(self.effect, CauseEvent):
            raise ValueError("effect event is for service emr only")
        if self.key_pattern is not None:
            try:
                re.compile(self.key_pattern)
            except re.error as error:
                raise ValueError(
                    f"key_pattern {self.key_pattern!r} is no regular expression: {error}"
                ) from None
        return self

    def matches(self, service: str, operation: str, key: str | None) -> bool:
        if self.service != service or self.operation not in (ANY, operation):
            return False
        if self.key_prefix is not None and not (key or "").startswith(self.key_prefix):
            return False
        return self.key_pattern is None or re.search(self.key_pattern, key or "") is not None


class FaultRecord(Record):
    """A rule and what it has met."""

    fault: Fault
    matched: int = 0
    """Calls that matched, acted on or not."""
    hits: int = 0
    """Calls it acted on."""
    first_hit_at: float | None = None
    second: int = 0
    """The second of the last call that matched, since 1970."""
    in_second: int = 0
    """Calls in it that went through."""


@dataclass
class Plan:
    """What is to happen to one call."""

    delay: float = 0.0
    ending: Throttle | Error | Drop | None = None
    events: list[OutsideEvent] = field(default_factory=list)
    fault_ids: list[str] = field(default_factory=list)


class Faults(NumberedRecords[FaultRecord]):
    """The rules in force."""

    def __init__(self, clock: Clock) -> None:
        super().__init__("fault")
        self._clock = clock

    def add(self, fault: Fault) -> FaultRecord:
        return self._enter(lambda record_id: FaultRecord(id=record_id, fault=fault))

    def plan(self, service: str, operation: str, key: str | None) -> Plan:
        """Count the call, and say what the rules make of it: delays and events add up, one answer counts.

        Where several rules would answer for the call, the oldest does.
        """
        plan = Plan()
        with self._lock:
            for record in self._records:
                if not record.fault.matches(service, operation, key):
                    continue
                record.matched += 1
                effect = record.fault.effect
                answers = isinstance(effect, Throttle | Error | Drop)
                if (answers and plan.ending is not None) or not self._acts(record):
                    continue
                record.hits += 1
                plan.fault_ids.append(record.id)
                match effect:
                    case Delay():
                        plan.delay += effect.seconds
                    case CauseEvent():
                        plan.events.append(effect.event)
                    case _:
                        plan.ending = effect
        return plan

    def _acts(self, record: FaultRecord) -> bool:
        fault, now = record.fault, self._clock.now()
        if isinstance(fault.effect, Throttle) and fault.effect.above is not None:
            if record.second != int(now):
                record.second, record.in_second = int(now), 0
            if record.in_second < fault.effect.above:
                record.in_second += 1
                return False
        if record.matched < fault.first or (fault.calls is not None and record.hits >= fault.calls):
            return False
        if record.first_hit_at is None:
            record.first_hit_at = now
        return fault.seconds is None or now < record.first_hit_at + fault.seconds
