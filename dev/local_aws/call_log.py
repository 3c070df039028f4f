"""Which calls came, and which of them took effect, whatever their caller was told."""

import threading
from collections import Counter, deque

from pydantic import BaseModel

_MOST_KEPT = 10_000


class Call(BaseModel):
    """One call of EMR, S3 or SQS."""

    at: float
    """Seconds since the epoch."""
    service: str
    operation: str
    target: str | None
    """The object's key as ``bucket/key``, the cluster's id, or the queue's name."""
    status: int | None
    """The HTTP status the caller saw; None where the connection was closed instead."""
    took_effect: bool
    """Whether the call was made, and succeeded."""
    faults: list[str]
    """Ids of the rules that acted on it."""


class Count(BaseModel):
    service: str
    operation: str
    seen: int
    took_effect: int


class LoggedCalls(BaseModel):
    """How often each operation was called, and the calls themselves, oldest first (the last 10,000)."""

    counts: list[Count]
    calls: list[Call]

    def seen(self, operation: str) -> int:
        return sum(each.seen for each in self.counts if each.operation == operation)

    def took_effect(self, operation: str) -> int:
        return sum(each.took_effect for each in self.counts if each.operation == operation)


class CallLog:
    """Safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._calls: deque[Call] = deque(maxlen=_MOST_KEPT)
            self._seen: Counter[tuple[str, str]] = Counter()
            self._took_effect: Counter[tuple[str, str]] = Counter()

    def add(self, call: Call) -> None:
        with self._lock:
            self._calls.append(call)
            self._seen[call.service, call.operation] += 1
            self._took_effect[call.service, call.operation] += call.took_effect

    def read(self, service: str | None, operation: str | None) -> LoggedCalls:
        """Those of one service and one operation; None is any."""
        with self._lock:
            return LoggedCalls(
                counts=[
                    Count(service=name[0], operation=name[1], seen=seen, took_effect=self._took_effect[name])
                    for name, seen in sorted(self._seen.items())
                    if service in (None, name[0]) and operation in (None, name[1])
                ],
                calls=[
                    call
                    for call in self._calls
                    if service in (None, call.service) and operation in (None, call.operation)
                ],
            )
