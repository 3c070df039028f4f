"""Numbered records that come, are looked at and go, from any thread: what is asked of local AWS meanwhile."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from pydantic import BaseModel


class Record(BaseModel):
    """What is numbered."""

    id: str


R = TypeVar("R", bound=Record)


class NumberedRecords(Generic[R]):
    """The records, oldest first. In memory only: they do not outlive the endpoint."""

    def __init__(self, name: str) -> None:
        """``name`` begins every id."""
        self._lock = threading.Lock()
        self._records: list[R] = []
        self._name, self._made = name, 0

    def _enter(self, make: Callable[[str], R]) -> R:
        """A copy of the new record that ``make`` gives for its id."""
        with self._lock:
            self._made += 1
            record = make(f"{self._name}-{self._made}")
            self._records.append(record)
            return record.model_copy()

    def records(self) -> list[R]:
        with self._lock:
            return [record.model_copy() for record in self._records]

    def remove(self, record_id: str) -> bool:
        """Whether there was one of this id."""
        with self._lock:
            kept = [record for record in self._records if record.id != record_id]
            removed = len(kept) < len(self._records)
            self._records = kept
            return removed

    def clear(self) -> None:
        with self._lock:
            self._records = []
