"""Events that wait for their moment: each happens once, to the first cluster that meets its condition."""

import logging
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from local_aws.clock import Clock
from local_aws.emr.cluster_data import Cluster, ClusterState
from local_aws.emr.clusters import Effect
from local_aws.emr.outside_events import EventError, OutsideEvent, apply
from local_aws.numbered_records import NumberedRecords, Record


class Condition(BaseModel):
    """A cluster comes to a state (WAITING is the idle one), or a step of this name begins to run."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    state: ClusterState | None = None
    step: str | None = None
    cluster_name: str | None = None
    """Only a cluster of this name; None is any."""

    @model_validator(mode="after")
    def _one_moment(self) -> Self:
        if (self.state is None) == (self.step is None):
            raise ValueError("give either state or step")
        return self


class PendingEvent(BaseModel):
    """What a client asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    event: OutsideEvent
    when: Condition


class PendingEventRecord(Record):
    """A pending event and what became of it."""

    pending: PendingEvent
    cluster_id: str | None = None
    """The cluster it happened to; None while it waits."""
    problem: str | None = None
    """Why it could not happen when its moment came."""


@dataclass(frozen=True)
class Progress:
    """How far a cluster was when it was last looked at."""

    state: ClusterState
    running: frozenset[str]

    @classmethod
    def of(cls, cluster: Cluster) -> "Progress":
        return cls(cluster.state, frozenset(step.id for step in cluster.steps if step.state == "RUNNING"))


class PendingEvents(NumberedRecords[PendingEventRecord]):
    """What they did to a cluster outlives the endpoint; they do not."""

    def __init__(self) -> None:
        super().__init__("event")

    def add(self, pending: PendingEvent) -> PendingEventRecord:
        return self._enter(lambda record_id: PendingEventRecord(id=record_id, pending=pending))

    def apply_due(self, cluster: Cluster, before: Progress | None, clock: Clock) -> tuple[bool, list[Effect]]:
        """Apply every event whose moment came since ``before``: whether there was one, and what follows."""
        with self._lock:
            due = [each for each in self._records if each.cluster_id is None and _met(each, cluster, before)]
            for record in due:
                record.cluster_id = cluster.id
        effects: list[Effect] = []
        for record in due:
            try:
                effects += apply(record.pending.event, cluster, clock)
            except EventError as error:
                record.problem = str(error)
                logging.getLogger(__name__).warning("%s could not happen: %s", record.id, error)
        return bool(due), effects


def _met(record: PendingEventRecord, cluster: Cluster, before: Progress | None) -> bool:
    when = record.pending.when
    if when.cluster_name not in (None, cluster.request["Name"]):
        return False
    if when.state is not None:
        return cluster.state == when.state and (before is None or before.state != when.state)
    already = before.running if before is not None else frozenset()
    return any(
        step.state == "RUNNING" and step.name == when.step and step.id not in already
        for step in cluster.steps
    )
