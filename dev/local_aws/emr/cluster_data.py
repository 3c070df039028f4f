"""What the endpoint remembers of a cluster. Plain data: the state machine is in ``clusters``."""

import secrets
import string
from typing import Any, Literal

from pydantic import BaseModel, Field

ClusterState = Literal[
    "STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS"
]
StepState = Literal["PENDING", "CANCEL_PENDING", "RUNNING", "COMPLETED", "CANCELLED", "FAILED", "INTERRUPTED"]
InstanceState = Literal["AWAITING_FULFILLMENT", "PROVISIONING", "BOOTSTRAPPING", "RUNNING", "TERMINATED"]
Role = Literal["MASTER", "CORE", "TASK"]
Market = Literal["ON_DEMAND", "SPOT"]

_ALPHABET = string.ascii_uppercase + string.digits


def new_id(prefix: str) -> str:
    """An id shaped like EMR's, such as ``j-2AL4XXXXXX5T9``."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(13))


class Reason(BaseModel):
    """A StateChangeReason. ``code`` is None where EMR gives only a message."""

    code: str | None = None
    message: str = ""


class Failure(BaseModel):
    """A step's FailureDetails."""

    reason: str
    message: str | None = None
    log_file: str | None = None


class Step(BaseModel):
    id: str = Field(default_factory=lambda: new_id("s"))
    name: str
    action_on_failure: str
    jar: str
    main_class: str | None = None
    args: list[str] = []
    properties: dict[str, str] = {}
    execution_role_arn: str | None = None
    state: StepState = "PENDING"
    failure: Failure | None = None
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None


class Instance(BaseModel):
    id: str = Field(default_factory=lambda: new_id("ci"))
    ec2_id: str
    private_ip: str
    collection_id: str
    role: Role
    type: str
    market: Market
    weight: int = 1
    """Units of fleet capacity that the instance counts for; 1 in a group."""
    state: InstanceState = "PROVISIONING"
    reason: Reason = Reason()
    created_at: float
    ready_at: float | None = None
    ended_at: float | None = None


class Collection(BaseModel):
    """An instance group or an instance fleet, with the request it was made from."""

    id: str
    kind: Literal["INSTANCE_GROUP", "INSTANCE_FLEET"]
    role: Role
    name: str
    request: dict[str, Any]


class Cluster(BaseModel):
    id: str = Field(default_factory=lambda: new_id("j"))
    region: str
    request: dict[str, Any]
    """The parameters of RunJobFlow, validated; what can change afterwards has a field of its own."""
    created_at: float
    entered_at: float
    """When the present state was entered; waits count from here."""
    state: ClusterState = "STARTING"
    reason: Reason = Reason()
    ready_at: float | None = None
    ended_at: float | None = None
    idle_since: float | None = None
    bootstrapped: bool = False
    """Whether the bootstrap actions have run, with success."""
    bootstrap_problem: str | None = None
    """Why the bootstrap actions failed, in EMR's words."""
    shutdown: tuple[float, float] | None = None
    """When something on the primary asked for its shutdown, and after how many seconds it comes."""
    spot_withheld: bool = False
    """Whether Spot has no capacity for the fleets' first provisioning."""
    held_in: ClusterState | None = None
    """The state that the passing of time does not end, until it is released."""
    keep_alive: bool
    protected: bool
    visible: bool = True
    replace_unhealthy: bool = False
    step_concurrency: int = 1
    idle_timeout: int | None = None
    """Seconds of the AutoTerminationPolicy, None without one."""
    managed_scaling: dict[str, Any] | None = None
    tags: dict[str, str] = {}
    steps: list[Step] = []
    collections: list[Collection] = []
    instances: list[Instance] = []

    @property
    def primary(self) -> Instance:
        return next(each for each in self.instances if each.role == "MASTER")

    @property
    def is_over(self) -> bool:
        return self.state in ("TERMINATED", "TERMINATED_WITH_ERRORS")

    @property
    def is_ending(self) -> bool:
        return self.is_over or self.state == "TERMINATING"

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.id == step_id), None)


class SecurityConfiguration(BaseModel):
    region: str
    name: str
    body: str
    created_at: float
