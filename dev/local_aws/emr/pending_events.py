"""Moves that wait for their moment: each is made once, on the first cluster that meets its condition."""

import logging
from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from local_aws.clock import Clock
from local_aws.emr.clusters import Effect
from local_aws.emr.model import Cluster, ClusterState
from local_aws.emr.moves import Move, MoveError, make
from local_aws.register import Record, Register


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


class ArmedMove(BaseModel):
    """What a client asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    move: Move
    when: Condition


class ArmedRecord(Record):
    """An armed move and what became of it."""

    armed: ArmedMove
    cluster_id: str | None = None
    """The cluster it was made on; None while it waits."""
    problem: str | None = None
    """Why it could not be made when its moment came."""


@dataclass(frozen=True)
class Progress:
    """How far a cluster was when it was last looked at."""

    state: ClusterState
    running: frozenset[str]

    @classmethod
    def of(cls, cluster: Cluster) -> "Progress":
        return cls(cluster.state, frozenset(step.id for step in cluster.steps if step.state == "RUNNING"))


class ArmedMoves(Register[ArmedRecord]):
    """What they did to a cluster outlives the endpoint; they do not."""

    def __init__(self) -> None:
        super().__init__("move")

    def add(self, armed: ArmedMove) -> ArmedRecord:
        return self._enter(lambda record_id: ArmedRecord(id=record_id, armed=armed))

    def make_due(self, cluster: Cluster, before: Progress | None, clock: Clock) -> tuple[bool, list[Effect]]:
        """Make every move whose moment came since ``before``: whether there was one, and what follows."""
        with self._lock:
            due = [each for each in self._records if each.cluster_id is None and _met(each, cluster, before)]
            for record in due:
                record.cluster_id = cluster.id
        effects: list[Effect] = []
        for record in due:
            try:
                effects += make(record.armed.move, cluster, clock)
            except MoveError as error:
                record.problem = str(error)
                logging.getLogger(__name__).warning("%s could not be made: %s", record.id, error)
        return bool(due), effects


def _met(record: ArmedRecord, cluster: Cluster, before: Progress | None) -> bool:
    when = record.armed.when
    if when.cluster_name not in (None, cluster.request["Name"]):
        return False
    if when.state is not None:
        return cluster.state == when.state and (before is None or before.state != when.state)
    already = before.running if before is not None else frozenset()
    return any(
        step.state == "RUNNING" and step.name == when.step and step.id not in already
        for step in cluster.steps
    )
