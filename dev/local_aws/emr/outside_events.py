"""Events that no client of EMR can ask for: what happens to a cluster from outside, or does not happen.

An event happens to a cluster that exists, or waits for the next one that meets a condition.
"""

from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field

from local_aws.clock import Clock
from local_aws.emr import clusters
from local_aws.emr.cluster_data import Cluster, ClusterState, Role, Step
from local_aws.emr.clusters import Effect, StopStep

_ORDER: dict[ClusterState, int] = {
    "STARTING": 0,
    "BOOTSTRAPPING": 1,
    "RUNNING": 2,
    "WAITING": 2,
    "TERMINATING": 3,
    "TERMINATED": 4,
    "TERMINATED_WITH_ERRORS": 4,
}
HoldableState = Literal["STARTING", "BOOTSTRAPPING", "WAITING", "TERMINATING"]
"""The states that time ends. RUNNING ends with its steps: hang one of them."""


class EventError(Exception):
    """The cluster is not where the event could happen; the message says where it is."""


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hold(_Event):
    """Time does not end the state (the present one unless named); clients and other events still do."""

    kind: Literal["hold"] = "hold"
    state: HoldableState | None = None


class Release(_Event):
    """Ends a hold."""

    kind: Literal["release"] = "release"


class FailBootstrap(_Event):
    """The first bootstrap action fails, whether there is one or not."""

    kind: Literal["fail-bootstrap"] = "fail-bootstrap"


class WithholdSpot(_Event):
    """Spot has nothing to give: the fleets wait as long as their SpotSpecification says, then act by it."""

    kind: Literal["withhold-spot"] = "withhold-spot"


class ReclaimSpot(_Event):
    """Spot instances are lost: of one role or of all, so many or all. The primary goes last."""

    kind: Literal["reclaim-spot"] = "reclaim-spot"
    role: Role | None = None
    count: int | None = Field(default=None, ge=1)


class LosePrimary(_Event):
    """The primary is lost, Spot or not."""

    kind: Literal["lose-primary"] = "lose-primary"


class _OfStep(_Event):
    step: str | None = None
    """Id or name of a running step; None is the one that has run longest."""


class HangStep(_OfStep):
    """The step's processes are frozen: RUNNING for ever, without doing anything."""

    kind: Literal["hang-step"] = "hang-step"


class FailStep(_OfStep):
    """The step's processes are killed."""

    kind: Literal["fail-step"] = "fail-step"


class CompleteStep(_OfStep):
    """The step is said to be COMPLETED although it did not run (pending), or not to its end."""

    kind: Literal["complete-step"] = "complete-step"


OutsideEvent: TypeAlias = Annotated[
    Hold
    | Release
    | WithholdSpot
    | FailBootstrap
    | ReclaimSpot
    | LosePrimary
    | HangStep
    | FailStep
    | CompleteStep,
    Field(discriminator="kind"),
]


def apply(event: OutsideEvent, cluster: Cluster, clock: Clock) -> list[Effect]:
    """Let the event happen. :class:`EventError` when the cluster is not where it could."""
    match event:
        case Hold():
            return _hold(event, cluster)
        case Release():
            if cluster.held_in is None:
                raise EventError(f"Cluster {cluster.id} is not held: there is nothing to release.")
            cluster.held_in = None
            return []
    if cluster.is_ending:
        raise EventError(
            f"Cluster {cluster.id} is {cluster.state}: {event.kind} needs one that is not ending."
        )
    match event:
        case WithholdSpot():
            if cluster.state != "STARTING" or not clusters.spot_timeouts(cluster):
                raise EventError(
                    f"Cluster {cluster.id} is {cluster.state}: withhold-spot needs one in STARTING with "
                    "a fleet that asks for Spot and has a SpotSpecification; without, hold it in STARTING."
                )
            cluster.spot_withheld = True
            return []
        case FailBootstrap():
            if cluster.state not in ("STARTING", "BOOTSTRAPPING"):
                raise EventError(f"Cluster {cluster.id} is {cluster.state}: its bootstrap actions are over.")
            return clusters.fail_bootstrap(cluster)
        case ReclaimSpot():
            return _reclaim_spot(event, cluster, clock)
        case LosePrimary():
            return clusters.lose_instances(cluster, [cluster.primary], clusters.PRIMARY_LOST, clock)
        case HangStep():
            return [clusters.HangStep(_running_step(event, cluster).id)]
        case FailStep():
            return [StopStep(_running_step(event, cluster).id, force=True)]
        case CompleteStep():
            return clusters.complete_step(cluster, _running_step(event, cluster), clock)


def _hold(event: Hold, cluster: Cluster) -> list[Effect]:
    state: ClusterState = event.state or cluster.state
    holdable = get_args(HoldableState)
    if state not in holdable or _ORDER[cluster.state] > _ORDER[state]:
        raise EventError(
            f"Cluster {cluster.id} is {cluster.state} and cannot be held in {state}: name one of "
            f"{', '.join(holdable)} that is still to come, or hang a step."
        )
    cluster.held_in = state
    return []


def _reclaim_spot(event: ReclaimSpot, cluster: Cluster, clock: Clock) -> list[Effect]:
    spot = [
        each
        for each in cluster.instances
        if each.market == "SPOT" and each.state != "TERMINATED" and event.role in (None, each.role)
    ]
    if not spot:
        kind = f"{event.role} " if event.role else ""
        raise EventError(f"Cluster {cluster.id} has no {kind}instance of the Spot market to reclaim.")
    spot.sort(key=lambda each: each.role == "MASTER")
    return clusters.lose_instances(cluster, spot[: event.count], clusters.SPOT_RECLAIMED, clock)


def _running_step(event: _OfStep, cluster: Cluster) -> Step:
    for step in cluster.steps:
        if step.state == "RUNNING" and event.step in (None, step.id, step.name):
            return step
    wanted = f"step {event.step!r}" if event.step else "step"
    raise EventError(f"Cluster {cluster.id} is {cluster.state} and has no {wanted} that is RUNNING.")
