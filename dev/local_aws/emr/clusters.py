"""EMR's state machine for a cluster and its steps. Pure: no I/O, no threads, time comes from a clock.

Each function moves the :class:`Cluster` it is given and returns what must now happen outside:
bootstrap actions and steps to start and to stop. The rules are those of the EMR API reference
(RunJobFlow, SetTerminationProtection) and of its management guide ("Using termination protection",
"Using an auto-termination policy"). The words about lost instances are those that users of EMR quote.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from local_aws.clock import Clock
from local_aws.emr.cluster_data import Cluster, ClusterState, Failure, Instance, InstanceState, Reason, Step

USER_REQUEST = Reason(code="USER_REQUEST", message="Terminated by user request")
ALL_STEPS_COMPLETED = Reason(code="ALL_STEPS_COMPLETED", message="Steps completed")
STEP_FAILURE = Reason(code="STEP_FAILURE", message="Shut down as step failed")
PRIMARY_LOST = Reason(code="INSTANCE_FAILURE", message="The master node was terminated.")
CORE_LOST = Reason(code="INSTANCE_FAILURE", message="All slaves in the job flow were terminated due to Spot")
SPOT_RECLAIMED = Reason(code="INSTANCE_FAILURE", message="Instance was terminated due to Spot")
SHUT_DOWN = Reason(code="INSTANCE_FAILURE", message="Instance was terminated by a shutdown of its own")
_CLEAN_ENDS = ("USER_REQUEST", "ALL_STEPS_COMPLETED")

READY = Reason(message="Cluster ready to run steps.")
READY_AGAIN = Reason(message="Cluster ready after last step completed.")
RUNNING_STEP = Reason(message="Running step")
BOOTSTRAPPING = Reason(message="Running bootstrap actions")
STARTING = Reason(message="Provisioning Amazon EC2 capacity")


@dataclass(frozen=True)
class Durations:
    """Simulated seconds of the states in which a real cluster only waits for machines."""

    starting: float = 240
    bootstrapping: float = 60
    terminating: float = 30


@dataclass(frozen=True)
class StartBootstrap:
    """Run the bootstrap actions on the primary."""


@dataclass(frozen=True)
class StopBootstrap:
    """Kill what is left of them."""


@dataclass(frozen=True)
class StartStep:
    step_id: str


@dataclass(frozen=True)
class StopStep:
    step_id: str
    force: bool
    """Kill at once (TERMINATE_PROCESS) instead of asking first."""


@dataclass(frozen=True)
class HangStep:
    """Stop the step's processes without ending them."""

    step_id: str


Effect = StartBootstrap | StopBootstrap | StartStep | StopStep | HangStep


@dataclass(frozen=True)
class StepResult:
    """How a step's process ended: exit code 0 is success, anything else comes with a failure."""

    exit_code: int | None
    failure: Failure | None = None

    @property
    def succeeded(self) -> bool:
        return self.exit_code == 0 and self.failure is None


def advance(cluster: Cluster, clock: Clock, durations: Durations) -> list[Effect]:
    """Make the one move that is due now, if any. Another may be due after it."""
    due = next_change_at(cluster, clock, durations)
    if due is None or clock.now() < due:
        return []
    if _shuts_down_at(cluster, clock) == due:
        return lose_instances(cluster, [cluster.primary], SHUT_DOWN, clock)
    return _move(cluster, clock)


def next_change_at(cluster: Cluster, clock: Clock, durations: Durations) -> float | None:
    """When the cluster will next change by the mere passing of time; None for never."""
    own = _leaves_state_at(cluster, clock, durations) if cluster.state != cluster.held_in else None
    # A machine that shuts itself down asks nobody: neither a hold nor termination protection.
    shutdown = _shuts_down_at(cluster, clock)
    return min((due for due in (own, shutdown) if due is not None), default=None)


def _shuts_down_at(cluster: Cluster, clock: Clock) -> float | None:
    if cluster.shutdown is None or cluster.is_ending:
        return None
    asked_at, seconds = cluster.shutdown
    return asked_at + clock.limit(seconds)


def _leaves_state_at(cluster: Cluster, clock: Clock, durations: Durations) -> float | None:
    match cluster.state:
        case "STARTING" if cluster.spot_withheld:
            return cluster.created_at + clock.limit(60 * _given_up_on_spot(cluster).minutes)
        case "STARTING":
            return cluster.entered_at + clock.real(durations.starting)
        case "BOOTSTRAPPING" if cluster.bootstrap_problem is not None:
            return cluster.entered_at
        case "BOOTSTRAPPING" if cluster.bootstrapped:
            return cluster.entered_at + clock.real(durations.bootstrapping)
        case "WAITING" if cluster.idle_timeout is not None and cluster.idle_since is not None:
            return cluster.idle_since + clock.limit(cluster.idle_timeout)
        case "TERMINATING" if not _running(cluster):
            return cluster.entered_at + clock.real(durations.terminating)
        case _:
            return None


@dataclass(frozen=True)
class SpotTimeout:
    """What a fleet does when Spot has not provisioned it in time."""

    role: str
    minutes: int
    action: str

    @property
    def message(self) -> str:
        return f"Spot did not provision the {self.role} instance fleet within {self.minutes} minutes"


def spot_timeouts(cluster: Cluster) -> list[SpotTimeout]:
    """One for each fleet that asks for Spot and says how long to wait for it."""
    found = []
    for fleet in cluster.collections:
        spot = (fleet.request.get("LaunchSpecifications") or {}).get("SpotSpecification")
        if fleet.request.get("TargetSpotCapacity") and spot:
            found.append(SpotTimeout(fleet.role, spot["TimeoutDurationMinutes"], spot["TimeoutAction"]))
    return found


def _given_up_on_spot(cluster: Cluster) -> SpotTimeout:
    """The timeout that ends the wait: the first that terminates, or else the last that switches."""
    timeouts = sorted(spot_timeouts(cluster), key=lambda each: each.minutes)
    return next((each for each in timeouts if each.action == "TERMINATE_CLUSTER"), timeouts[-1])


def _move(cluster: Cluster, clock: Clock) -> list[Effect]:
    now = clock.now()
    match cluster.state:
        case "STARTING":
            if cluster.spot_withheld:
                given_up = _given_up_on_spot(cluster)
                if given_up.action == "TERMINATE_CLUSTER":
                    return end(
                        cluster, Reason(code="INSTANCE_FLEET_TIMEOUT", message=given_up.message), clock
                    )
                for instance in cluster.instances:
                    instance.market = "ON_DEMAND"
            _enter(cluster, "BOOTSTRAPPING", BOOTSTRAPPING, now)
            _move_instances(cluster, "BOOTSTRAPPING", now)
            return _begin_bootstrap(cluster)
        case "BOOTSTRAPPING":
            if cluster.bootstrap_problem is not None:
                failure = Reason(code="BOOTSTRAP_FAILURE", message=cluster.bootstrap_problem)
                return end(cluster, failure, clock)
            cluster.ready_at = now
            _move_instances(cluster, "RUNNING", now)
            return _schedule(cluster, now)
        case "WAITING":
            # An idle end is not said to be an error, so that its state is TERMINATED.
            idle = Reason(
                code="USER_REQUEST",
                message=f"Auto-terminated: the cluster was idle for {cluster.idle_timeout} seconds",
            )
            return end(cluster, idle, clock)
        case "TERMINATING":
            state: ClusterState = (
                "TERMINATED" if cluster.reason.code in _CLEAN_ENDS else "TERMINATED_WITH_ERRORS"
            )
            _enter(cluster, state, cluster.reason, now)
            cluster.ended_at = now
            _move_instances(cluster, "TERMINATED", now)
    return []


def bootstrap_ended(cluster: Cluster, problem: str | None) -> None:
    """The bootstrap actions are over; ``problem`` says in words why they failed."""
    if cluster.state == "BOOTSTRAPPING":
        cluster.bootstrapped, cluster.bootstrap_problem = problem is None, problem


def schedule_shutdown(cluster: Cluster, seconds: float | None, clock: Clock) -> None:
    """The primary is to shut itself down after so many seconds; None calls it off."""
    cluster.shutdown = (clock.now(), seconds) if seconds is not None else None


def add_steps(cluster: Cluster, steps: list[Step], clock: Clock) -> list[Effect]:
    cluster.steps = [*cluster.steps, *steps]
    return _reconsider(cluster, clock)


def step_ended(cluster: Cluster, step_id: str, result: StepResult, clock: Clock) -> list[Effect]:
    """A step's process is gone: name its end, and do what its ActionOnFailure says."""
    step = cluster.step(step_id)
    if step is None or step.state not in ("RUNNING", "CANCEL_PENDING"):
        return []
    now = clock.now()
    was_cancelled = step.state == "CANCEL_PENDING"
    step.ended_at = now
    if result.succeeded:
        step.state = "COMPLETED"
    elif cluster.is_ending:
        # What users of EMR see: a step that loses its machines has been cancelled, not interrupted.
        step.state = "CANCELLED" if cluster.reason.code == "INSTANCE_FAILURE" else "INTERRUPTED"
    elif was_cancelled:
        step.state = "CANCELLED"
    else:
        step.state, step.failure = "FAILED", result.failure
        return _after_failure(cluster, step, clock)
    return _reconsider(cluster, clock)


def cancel_step(cluster: Cluster, step: Step, force: bool, clock: Clock) -> list[Effect]:
    """Cancel a step that is PENDING (at once) or RUNNING (once its process is gone)."""
    if step.state == "PENDING":
        _cancel_pending(step, clock.now())
        return _reconsider(cluster, clock)
    step.state = "CANCEL_PENDING"
    return [StopStep(step.id, force)]


def terminate(cluster: Cluster, clock: Clock) -> list[Effect]:
    """TerminateJobFlows on one cluster that is not protected. A cluster that ends already is left alone."""
    return end(cluster, USER_REQUEST, clock)


def end(cluster: Cluster, reason: Reason, clock: Clock) -> list[Effect]:
    """Begin to terminate, for whatever reason: pending steps are cancelled, running ones stopped."""
    if cluster.is_ending:
        return []
    now = clock.now()
    bootstrapping = cluster.state == "BOOTSTRAPPING"
    _enter(cluster, "TERMINATING", reason, now)
    cluster.idle_since = None
    for step in cluster.steps:
        if step.state == "PENDING":
            _cancel_pending(step, now)
    force = reason.code == "INSTANCE_FAILURE"  # processes do not survive their machine
    effects: list[Effect] = [StopStep(step.id, force) for step in _running(cluster)]
    return [StopBootstrap(), *effects] if bootstrapping else effects


def lose_instances(
    cluster: Cluster, instances: Iterable[Instance], reason: Reason, clock: Clock
) -> list[Effect]:
    """Machines are gone. Without its primary, or without any core node that it had, a cluster ends.

    What is lost is not replaced, as when Spot has no capacity to give.
    """
    for instance in instances:
        _end_instance(instance, reason, clock.now())
    if cluster.primary.state == "TERMINATED":
        return end(cluster, PRIMARY_LOST, clock)
    core = [each for each in cluster.instances if each.role == "CORE"]
    if core and all(each.state == "TERMINATED" for each in core):
        return end(cluster, CORE_LOST, clock)
    return []


def fail_bootstrap(cluster: Cluster) -> list[Effect]:
    """A cluster that is not up yet will not come up: its first bootstrap action fails, run or not."""
    cluster.bootstrapped = False
    cluster.bootstrap_problem = (
        f"On the master instance ({cluster.primary.ec2_id}), "
        "bootstrap action 1 returned a non-zero return code"
    )
    return [StopBootstrap()] if cluster.state == "BOOTSTRAPPING" else []


def complete_step(cluster: Cluster, step: Step, clock: Clock) -> list[Effect]:
    """A running step is said to have succeeded, whatever it has done; it is ended at once."""
    step.state, step.ended_at = "COMPLETED", clock.now()
    return [StopStep(step.id, force=True), *_reconsider(cluster, clock)]


def set_keep_alive(cluster: Cluster, keep_alive: bool, clock: Clock) -> list[Effect]:
    cluster.keep_alive = keep_alive
    return _reconsider(cluster, clock)


def set_idle_timeout(cluster: Cluster, seconds: int | None, clock: Clock) -> None:
    """Put or remove the auto-termination policy. A new policy counts from now."""
    cluster.idle_timeout = seconds
    if cluster.state == "WAITING":
        cluster.idle_since = clock.now()


def set_concurrency(cluster: Cluster, level: int, clock: Clock) -> list[Effect]:
    cluster.step_concurrency = level
    return _reconsider(cluster, clock)


def lose_processes(cluster: Cluster, clock: Clock) -> list[Effect]:
    """After a restart of the endpoint: whatever was running is not running any more.

    Steps have failed. Bootstrap actions, which nobody could add once more, begin anew.
    """
    if cluster.state == "BOOTSTRAPPING" and not cluster.bootstrapped:
        return _begin_bootstrap(cluster)
    lost = Failure(
        reason="Unknown Error.",
        message="The local EMR endpoint ended while the step was running; its process was ended with it.",
    )
    effects: list[Effect] = []
    for step in _running(cluster):
        effects += step_ended(cluster, step.id, StepResult(exit_code=None, failure=lost), clock)
    # What the ends above let start or made stop was never started: it is scheduled anew.
    return [effect for effect in effects if isinstance(effect, StartStep)]


def _begin_bootstrap(cluster: Cluster) -> list[Effect]:
    if cluster.bootstrap_problem is not None:
        return []
    if cluster.request.get("BootstrapActions"):
        return [StartBootstrap()]
    cluster.bootstrapped = True
    return []


def _after_failure(cluster: Cluster, step: Step, clock: Clock) -> list[Effect]:
    # With steps in parallel EMR keeps the cluster and the other steps whatever the failed step asked for.
    action = step.action_on_failure if cluster.step_concurrency == 1 else "CONTINUE"
    if action in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
        # Protection holds off an error's end only where the cluster is to be kept after its steps.
        if not (cluster.protected and cluster.keep_alive):
            return end(cluster, STEP_FAILURE, clock)
        action = "CANCEL_AND_WAIT"
    if action == "CANCEL_AND_WAIT":
        for other in cluster.steps:
            if other.state == "PENDING":
                _cancel_pending(other, clock.now())
    return _reconsider(cluster, clock)


def _reconsider(cluster: Cluster, clock: Clock) -> list[Effect]:
    return _schedule(cluster, clock.now()) if cluster.state in ("RUNNING", "WAITING") else []


def _schedule(cluster: Cluster, now: float) -> list[Effect]:
    """Start what may start, and say whether the cluster runs, waits or ends."""
    effects: list[Effect] = []
    for step in cluster.steps:
        if len(_running(cluster)) >= cluster.step_concurrency:
            break
        if step.state == "PENDING":
            step.state, step.started_at = "RUNNING", now
            effects.append(StartStep(step.id))
    if _running(cluster):
        if cluster.state != "RUNNING":
            _enter(cluster, "RUNNING", RUNNING_STEP, now)
        cluster.idle_since = None
    elif not cluster.keep_alive:
        _enter(cluster, "TERMINATING", ALL_STEPS_COMPLETED, now)
    elif cluster.state != "WAITING":
        _enter(cluster, "WAITING", READY_AGAIN if cluster.steps else READY, now)
        cluster.idle_since = now
    return effects


def _running(cluster: Cluster) -> list[Step]:
    return [step for step in cluster.steps if step.state in ("RUNNING", "CANCEL_PENDING")]


def _cancel_pending(step: Step, now: float) -> None:
    step.state, step.ended_at = "CANCELLED", now


def _enter(cluster: Cluster, state: ClusterState, reason: Reason, now: float) -> None:
    cluster.state, cluster.reason, cluster.entered_at = state, reason, now


def _move_instances(cluster: Cluster, state: InstanceState, now: float) -> None:
    for instance in cluster.instances:
        if instance.state == "TERMINATED":
            continue
        if state == "TERMINATED":
            reason = Reason(code="CLUSTER_TERMINATED", message="Cluster was terminated.")
            _end_instance(instance, reason, now)
            continue
        instance.state = state
        if state == "RUNNING":
            instance.ready_at = now


def _end_instance(instance: Instance, reason: Reason, now: float) -> None:
    instance.state, instance.reason, instance.ended_at = "TERMINATED", reason, now
