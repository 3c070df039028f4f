"""The state machine moves as EMR's does: pure, with a clock that only moves when told to."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from local_aws.clock import Factors, ManualClock
from local_aws.emr import clusters, instances
from local_aws.emr.cluster_data import Cluster, Failure, Step
from local_aws.emr.clusters import Durations, Effect, StartBootstrap, StartStep, StepResult, StopStep
from tests.dev.local_aws.emr_client import groups, job_flow

DURATIONS = Durations(starting=240, bootstrapping=60, terminating=30)
BOOTSTRAP = {"Name": "set up", "ScriptBootstrapAction": {"Path": "s3://bucket/set-up.sh"}}
SUCCESS = StepResult(0)
FAILURE = StepResult(1, Failure(reason="Unknown Error."))


class Machine:
    """A cluster, its clock, and the steps that would be running outside."""

    def __init__(
        self, *actions: str, keep_alive: bool = True, problem: str | None = None, **fields: Any
    ) -> None:
        self.clock = ManualClock()
        now = self.clock.now()
        self.problem = problem
        self.cluster = Cluster(
            region="eu-west-1",
            request=job_flow(Instances=groups(), BootstrapActions=[BOOTSTRAP]),
            created_at=now,
            entered_at=now,
            keep_alive=keep_alive,
            protected=fields.pop("protected", False),
            steps=[self.step(action) for action in actions],
            **fields,
        )
        instances.provision(self.cluster, now)
        self.started: list[str] = []
        self.stopped: list[str] = []

    def step(self, action: str = "CONTINUE") -> Step:
        return Step(
            name="a step", action_on_failure=action, jar="command-runner.jar", created_at=self.clock.now()
        )

    def perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartBootstrap():
                    clusters.bootstrap_ended(self.cluster, self.problem)
                case StartStep(step_id):
                    self.started.append(step_id)
                case StopStep(step_id, _):
                    self.stopped.append(step_id)

    def wait(self, seconds: float = 0) -> "Machine":
        self.clock.advance(seconds)
        while (due := clusters.next_change_at(self.cluster, self.clock, DURATIONS)) is not None:
            if due > self.clock.now():
                break
            self.perform(clusters.advance(self.cluster, self.clock, DURATIONS))
        return self

    def up(self) -> "Machine":
        return self.wait(240).wait(60)

    def end_step(self, position: int, result: StepResult) -> "Machine":
        self.perform(clusters.step_ended(self.cluster, self.cluster.steps[position].id, result, self.clock))
        return self.wait()

    @property
    def state(self) -> str:
        return self.cluster.state

    @property
    def steps(self) -> list[str]:
        return [step.state for step in self.cluster.steps]


def test_a_cluster_starts_bootstraps_and_waits() -> None:
    machine = Machine()
    assert machine.wait(239).state == "STARTING"
    assert machine.wait(1).state == "BOOTSTRAPPING"
    assert machine.wait(59).state == "BOOTSTRAPPING"
    assert machine.wait(1).state == "WAITING"
    assert machine.cluster.ready_at == machine.clock.now()
    assert {each.state for each in machine.cluster.instances} == {"RUNNING"}


def test_steps_run_one_after_another_in_their_order() -> None:
    machine = Machine("CONTINUE", "CONTINUE").up()
    assert machine.state == "RUNNING"
    assert machine.steps == ["RUNNING", "PENDING"]
    assert machine.end_step(0, SUCCESS).steps == ["COMPLETED", "RUNNING"]
    assert machine.end_step(1, SUCCESS).state == "WAITING"
    assert machine.started == [step.id for step in machine.cluster.steps]


def test_as_many_steps_run_at_once_as_the_concurrency_level_says() -> None:
    machine = Machine(*["CONTINUE"] * 4, step_concurrency=2).up()
    assert machine.steps == ["RUNNING", "RUNNING", "PENDING", "PENDING"]
    machine.perform(clusters.set_concurrency(machine.cluster, 3, machine.clock))
    assert machine.steps == ["RUNNING", "RUNNING", "RUNNING", "PENDING"]


def test_a_transient_cluster_ends_after_its_last_step() -> None:
    machine = Machine("CONTINUE", keep_alive=False).up().end_step(0, SUCCESS)
    assert machine.state == "TERMINATING"
    assert machine.wait(30).state == "TERMINATED"
    assert machine.cluster.reason.code == "ALL_STEPS_COMPLETED"
    assert machine.cluster.reason.message == "Steps completed"
    assert {each.state for each in machine.cluster.instances} == {"TERMINATED"}


def test_a_waiting_cluster_that_is_no_longer_kept_alive_ends() -> None:
    machine = Machine().up()
    machine.perform(clusters.set_keep_alive(machine.cluster, False, machine.clock))
    assert machine.state == "TERMINATING"


@pytest.mark.parametrize("action", ["TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_a_failed_step_that_says_terminate_ends_the_cluster_with_errors(action: str) -> None:
    machine = Machine(action, "CONTINUE").up().end_step(0, FAILURE)
    assert machine.steps == ["FAILED", "CANCELLED"]
    assert machine.wait(30).state == "TERMINATED_WITH_ERRORS"
    assert machine.cluster.reason.code == "STEP_FAILURE"
    assert machine.cluster.reason.message == "Shut down as step failed"


def test_a_failed_step_that_says_cancel_and_wait_cancels_the_rest() -> None:
    machine = Machine("CANCEL_AND_WAIT", "CONTINUE").up().end_step(0, FAILURE)
    assert machine.steps == ["FAILED", "CANCELLED"]
    assert machine.state == "WAITING"


def test_a_failed_step_that_says_continue_lets_the_next_one_run() -> None:
    machine = Machine("CONTINUE", "CONTINUE").up().end_step(0, FAILURE)
    assert machine.steps == ["FAILED", "RUNNING"]


def test_protection_keeps_a_long_lived_cluster_after_a_failed_step_but_not_a_transient_one() -> None:
    kept = Machine("TERMINATE_CLUSTER", "CONTINUE", protected=True).up().end_step(0, FAILURE)
    assert (kept.state, kept.steps) == ("WAITING", ["FAILED", "CANCELLED"])
    ended = Machine("TERMINATE_CLUSTER", protected=True, keep_alive=False).up().end_step(0, FAILURE)
    assert ended.state == "TERMINATING"


def test_an_idle_cluster_ends_by_its_policy_and_a_step_starts_the_count_anew() -> None:
    machine = Machine(idle_timeout=600).up().wait(599)
    machine.perform(clusters.add_steps(machine.cluster, [machine.step()], machine.clock))
    assert machine.wait(10_000).state == "RUNNING"
    assert machine.end_step(0, SUCCESS).wait(599).state == "WAITING"
    assert machine.wait(1).state == "TERMINATING"
    assert machine.wait(30).state == "TERMINATED"
    assert "idle" in machine.cluster.reason.message


def test_a_removed_idle_policy_ends_nothing() -> None:
    machine = Machine(idle_timeout=600).up()
    clusters.set_idle_timeout(machine.cluster, None, machine.clock)
    assert machine.wait(100_000).state == "WAITING"


def test_a_failed_bootstrap_action_ends_the_cluster_with_errors_before_any_step() -> None:
    machine = Machine("CONTINUE", problem="no such script").up()
    assert machine.steps == ["CANCELLED"]
    assert machine.wait(30).state == "TERMINATED_WITH_ERRORS"
    assert machine.cluster.reason.code == "BOOTSTRAP_FAILURE"
    assert machine.cluster.ready_at is None


def test_the_primarys_own_shutdown_asks_nobody() -> None:
    machine = Machine("CONTINUE", "CONTINUE", protected=True).up()
    clusters.schedule_shutdown(machine.cluster, 600, machine.clock)
    assert machine.wait(599).state == "RUNNING"
    assert machine.wait(1).state == "TERMINATING"
    assert machine.stopped == [machine.cluster.steps[0].id]
    assert machine.end_step(0, FAILURE).wait(30).state == "TERMINATED_WITH_ERRORS"
    assert machine.steps == ["CANCELLED", "CANCELLED"]
    assert machine.cluster.reason == clusters.PRIMARY_LOST
    hurried = Machine().up()
    clusters.schedule_shutdown(hurried.cluster, 600, hurried.clock)
    hurried.clock.factors = Factors(limit_factor=60)
    assert hurried.wait(9).state == "WAITING"
    assert hurried.wait(1).state == "TERMINATING"
    called_off = Machine().up()
    clusters.schedule_shutdown(called_off.cluster, 600, called_off.clock)
    clusters.schedule_shutdown(called_off.cluster, None, called_off.clock)
    assert called_off.wait(10_000).state == "WAITING"


def test_a_held_state_is_not_ended_by_time_but_by_a_client() -> None:
    machine = Machine(held_in="STARTING").wait(10_000)
    assert machine.state == "STARTING"
    machine.cluster.held_in = "TERMINATING"
    assert machine.wait().wait(60).state == "WAITING"
    machine.perform(clusters.terminate(machine.cluster, machine.clock))
    assert machine.wait(10_000).state == "TERMINATING"
    machine.cluster.held_in = None
    assert machine.wait().state == "TERMINATED"


def test_after_a_restart_bootstrap_actions_begin_anew() -> None:
    machine = Machine().wait(240)
    machine.cluster.bootstrapped = False
    assert clusters.lose_processes(machine.cluster, machine.clock) == [StartBootstrap()]
    assert machine.wait(10_000).state == "BOOTSTRAPPING"


def test_termination_stops_the_running_step_and_waits_until_it_is_gone() -> None:
    machine = Machine("TERMINATE_CLUSTER", "CONTINUE").up()
    machine.perform(clusters.terminate(machine.cluster, machine.clock))
    assert machine.stopped == [machine.cluster.steps[0].id]
    assert machine.wait(1000).state == "TERMINATING"
    assert machine.end_step(0, FAILURE).state == "TERMINATED"
    assert machine.steps == ["INTERRUPTED", "CANCELLED"]
    assert machine.cluster.reason.message == "Terminated by user request"


def test_a_cluster_can_be_terminated_while_it_starts() -> None:
    machine = Machine("CONTINUE")
    machine.perform(clusters.terminate(machine.cluster, machine.clock))
    assert machine.wait(30).state == "TERMINATED"
    assert (machine.steps, machine.started) == (["CANCELLED"], [])


def test_a_cancelled_pending_step_never_runs_and_a_running_one_is_stopped_first() -> None:
    machine = Machine("CONTINUE", "CONTINUE", "CONTINUE").up()
    first, second, _ = machine.cluster.steps
    machine.perform(clusters.cancel_step(machine.cluster, second, False, machine.clock))
    machine.perform(clusters.cancel_step(machine.cluster, first, False, machine.clock))
    assert machine.steps == ["CANCEL_PENDING", "CANCELLED", "PENDING"]
    assert machine.end_step(0, FAILURE).steps == ["CANCELLED", "CANCELLED", "RUNNING"]


def test_a_cancelled_step_does_not_count_as_a_failure() -> None:
    machine = Machine("TERMINATE_CLUSTER").up()
    machine.perform(clusters.cancel_step(machine.cluster, machine.cluster.steps[0], True, machine.clock))
    assert machine.end_step(0, FAILURE).state == "WAITING"


def test_after_a_restart_a_running_step_has_failed_and_its_action_counts() -> None:
    machine = Machine("CONTINUE", "CONTINUE").up()
    machine.perform(clusters.lose_processes(machine.cluster, machine.clock))
    assert machine.steps == ["FAILED", "RUNNING"]
    fatal = Machine("TERMINATE_CLUSTER", "CONTINUE").up()
    fatal.perform(clusters.lose_processes(fatal.cluster, fatal.clock))
    assert fatal.wait(30).state == "TERMINATED_WITH_ERRORS"


EVENTS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1, 30, 60, 240, 700])),
    st.tuples(st.just("add"), st.sampled_from(["CONTINUE", "CANCEL_AND_WAIT", "TERMINATE_CLUSTER"])),
    st.tuples(st.just("end"), st.booleans()),
    st.tuples(st.just("cancel"), st.booleans()),
    st.tuples(st.just("terminate"), st.none()),
    st.tuples(st.just("keep"), st.booleans()),
    st.tuples(st.just("lose"), st.sampled_from(["MASTER", "CORE"])),
    st.tuples(st.just("complete"), st.none()),
    st.tuples(
        st.just("hold"), st.sampled_from(["STARTING", "BOOTSTRAPPING", "WAITING", "TERMINATING", None])
    ),
    st.tuples(st.just("shutdown"), st.sampled_from([60.0, 1000.0, None])),
)


@given(st.lists(EVENTS, max_size=25), st.booleans(), st.integers(1, 3))
@settings(max_examples=200, deadline=None)
def test_whatever_happens_the_promises_of_the_state_machine_hold(
    events: list[tuple[str, Any]], keep_alive: bool, concurrency: int
) -> None:
    machine = Machine(keep_alive=keep_alive, step_concurrency=concurrency, idle_timeout=600)
    cluster, clock = machine.cluster, machine.clock
    for name, value in events:
        before = cluster.state
        active = [s for s in cluster.steps if s.state in ("RUNNING", "CANCEL_PENDING")]
        pending_or_running = [s for s in cluster.steps if s.state in ("PENDING", "RUNNING")]
        if name == "wait":
            machine.wait(value)
        elif name == "add" and not cluster.is_ending:
            machine.perform(clusters.add_steps(cluster, [machine.step(value)], clock))
        elif name == "end" and active:
            result = SUCCESS if value else FAILURE
            machine.perform(clusters.step_ended(cluster, active[0].id, result, clock))
        elif name == "cancel" and pending_or_running and not cluster.is_ending:
            machine.perform(clusters.cancel_step(cluster, pending_or_running[0], value, clock))
        elif name == "terminate":
            machine.perform(clusters.terminate(cluster, clock))
        elif name == "keep":
            machine.perform(clusters.set_keep_alive(cluster, value, clock))
        elif name == "lose" and not cluster.is_ending:
            lost = [each for each in cluster.instances if each.role == value]
            machine.perform(clusters.lose_instances(cluster, lost, clusters.SPOT_RECLAIMED, clock))
            assert cluster.is_ending, "a cluster goes on without its primary, or without a core node"
        elif name == "complete" and active and active[0].state == "RUNNING" and not cluster.is_ending:
            machine.perform(clusters.complete_step(cluster, active[0], clock))
        elif name == "hold":
            cluster.held_in = value
        elif name == "shutdown" and not cluster.is_ending:
            clusters.schedule_shutdown(cluster, value, clock)
        running = [s for s in cluster.steps if s.state in ("RUNNING", "CANCEL_PENDING")]
        assert len(running) <= concurrency
        assert len(set(machine.started)) == len(machine.started), "a step was started twice"
        if before in ("TERMINATED", "TERMINATED_WITH_ERRORS"):
            assert cluster.state == before, "a cluster came back"
        if cluster.state in ("WAITING", "TERMINATED", "TERMINATED_WITH_ERRORS"):
            assert not running
        if cluster.is_ending:
            assert all(s.state != "PENDING" for s in cluster.steps)
        if cluster.state in ("RUNNING", "WAITING") and len(running) < concurrency:
            assert all(s.state != "PENDING" for s in cluster.steps), "a step waits for nothing"
