"""What goes wrong, one scenario each, in the words of the table.

A scenario says how the run must end. Whatever it is, no cluster may be left, none made twice, and the
old result must stay readable: the driver looks at that after each.
"""

from collections.abc import Callable, Iterator
from typing import Final

from chaos.driver import GONE, Arena, Running, Scenario, ScenarioError
from chaos.outside import reap_from_the_command_line
from fruit_pipeline.steps import FEATURIZE, REDUCE
from local_aws.emr.moves import (
    CompleteStep,
    FailBootstrap,
    FailStep,
    HangStep,
    Hold,
    Move,
    ReclaimSpot,
    WithholdSpot,
)
from local_aws.faults import Delay, Drop, Error, Fault, Throttle

SUCCESS: Final = "success"
FAILED: Final = "failed"
DENIED: Final = Error(status=403, code="AccessDenied", message="Access Denied")
BROKEN: Final = Error(status=500, code="InternalServerException", message="An internal error occurred.")
A_MINUTE: Final = 60.0

TASKS: Final = {
    "plan": Fault(service="s3", operation="ListObjectsV2", key_prefix="Test/", effect=Delay(seconds=1)),
    "guards": Fault(service="iam", operation="GetRole", effect=Delay(seconds=1)),
    "publish_artifacts": Fault(
        service="s3", operation="HeadObject", key_prefix="artifacts/", effect=Delay(seconds=1)
    ),
    "create_cluster": Fault(service="emr", operation="RunJobFlow", effect=Delay(seconds=1)),
    "wait_for_cluster": Fault(service="emr", operation="DescribeCluster", effect=Delay(seconds=1)),
    "add_featurize_step": Fault(service="emr", operation="AddJobFlowSteps", effect=Delay(seconds=1)),
    "wait_for_featurize": Fault(service="emr", operation="DescribeStep", effect=Delay(seconds=1)),
    "add_pca_step": Fault(service="emr", operation="AddJobFlowSteps", effect=Delay(seconds=1)),
    "wait_for_pca": Fault(service="emr", operation="DescribeStep", effect=Delay(seconds=1)),
    "terminate_cluster": Fault(service="emr", operation="TerminateJobFlows", effect=Delay(seconds=1)),
    "verify": Fault(
        service="s3", operation="GetObject", key_prefix="Results/pca_output/run=", effect=Delay(seconds=1)
    ),
    "publish": Fault(
        service="s3", operation="PutObject", key_prefix="Results/pca_output/_latest", effect=Delay(seconds=1)
    ),
    "clean": Fault(
        service="s3",
        operation="ListObjectsV2",
        key_prefix="Results/work_list/run=",
        effect=Delay(seconds=1),
    ),
    "report": Fault(
        service="s3", operation="PutObject", key_pattern=r"/report\.json$", effect=Delay(seconds=1)
    ),
}
"""For each task a call that it makes: delayed, the task is there long enough to be killed or to time out."""

LOOKS: Final = {
    "create_cluster": "ListClusters",
    "add_featurize_step": "ListSteps",
    "add_pca_step": "ListSteps",
}
"""What these ask before their call, which would take effect long after they have given up waiting for it."""

AFTER: Final = {
    "create_cluster": "publish_artifacts",
    "wait_for_cluster": "create_cluster",
    "add_featurize_step": "wait_for_cluster",
    "wait_for_featurize": "add_featurize_step",
    "add_pca_step": "wait_for_featurize",
    "wait_for_pca": "add_pca_step",
    "clean": "publish",
}
"""Tasks whose call others make too: its rule is put in force when the task before has succeeded."""

PARTS: Final = (
    ("plan", "guards", "publish_artifacts"),
    tuple(name for name in AFTER if name != "clean"),
    ("terminate_cluster", "verify", "publish", "clean", "report"),
)
"""Every task once: before there is a cluster, while there is one, and those that end it."""
_ON_ITS_WAY: Final = 2.0
"""Seconds that a request is under way whose sender was killed: less than a second attempt needs to begin."""
_LONG: Final = 120.0
"""Seconds that a cluster may live on where it ends by a limit of its own, or by somebody's hand."""


def fault(rule: Fault) -> Callable[[Arena], object]:
    return lambda arena: arena.control.add_fault(rule)


def when_step_runs(move: Move, step: str) -> Callable[[Arena], object]:
    return lambda arena: arena.control.arm(move, step=step)


def when_cluster_is(state: str, move: Move) -> Callable[[Arena], object]:
    return lambda arena: arena.control.arm(move, state=state)


def scenarios() -> Iterator[Scenario]:
    """Every scenario that runs with the ordinary limits, in the order of the table."""
    yield Scenario("nothing goes wrong", SUCCESS, replayed=())
    yield from _creating()
    yield from _on_the_cluster()
    yield from _aws_unwell()
    yield from _processes_die()
    yield from _people()


def timeouts() -> Iterator[Scenario]:
    """Scenarios for an Airflow whose tasks may take a few seconds only."""
    for names in PARTS:
        yield Scenario(
            f"every task times out once: {', '.join(names)}",
            SUCCESS,
            arm=_never_idle,
            act=_time_out(names),
            retried=names,
        )


def _creating() -> Iterator[Scenario]:
    run_job_flow = {"service": "emr", "operation": "RunJobFlow"}
    yield Scenario(
        "RunJobFlow is throttled three times",
        SUCCESS,
        arm=fault(Fault.model_validate({**run_job_flow, "calls": 3, "effect": Throttle()})),
    )
    yield Scenario(
        "the answer of RunJobFlow is lost",
        SUCCESS,
        arm=fault(Fault.model_validate({**run_job_flow, "calls": 1, "effect": Drop()})),
    )
    yield Scenario(
        "RunJobFlow is refused",
        FAILED,
        arm=fault(
            Fault.model_validate(
                {**run_job_flow, "effect": Error(status=400, code="ValidationException", message="no")}
            )
        ),
    )
    yield Scenario(
        "the cluster never leaves STARTING",
        FAILED,
        arm=when_cluster_is("STARTING", Hold()),
        parameters={"max_start_minutes": 0.1},
    )
    yield Scenario(
        "the bootstrap fails",
        FAILED,
        arm=when_cluster_is("STARTING", FailBootstrap()),
    )


def _on_the_cluster() -> Iterator[Scenario]:
    yield Scenario(
        "Spot is reclaimed during featurize",
        FAILED,
        arm=when_step_runs(ReclaimSpot(), FEATURIZE),
        replayed=(),
    )
    yield Scenario(
        "Spot is reclaimed during PCA",
        FAILED,
        arm=when_step_runs(ReclaimSpot(), REDUCE),
        replayed=(FEATURIZE,),
    )
    yield Scenario(
        "Spot is reclaimed while the cluster is idle",
        FAILED,
        arm=when_cluster_is("WAITING", ReclaimSpot()),
        replayed=(),
    )
    yield Scenario(
        "one of two workers is reclaimed during featurize",
        SUCCESS,
        arm=when_step_runs(ReclaimSpot(role="CORE", count=1), FEATURIZE),
        replayed=(),
    )
    yield Scenario("the featurize step fails", FAILED, arm=when_step_runs(FailStep(), FEATURIZE), replayed=())
    yield Scenario(
        "the PCA step fails", FAILED, arm=when_step_runs(FailStep(), REDUCE), replayed=(FEATURIZE,)
    )
    yield Scenario(
        "the featurize step hangs",
        FAILED,
        arm=when_step_runs(HangStep(), FEATURIZE),
        parameters={"max_step_hours": 0.002},
        replayed=(),
    )
    yield Scenario(
        "featurize succeeds but wrote nothing",
        FAILED,
        arm=when_step_runs(CompleteStep(), FEATURIZE),
        replayed=(),
    )
    yield Scenario(
        "PCA succeeds but wrote nothing", FAILED, act=lambda run: run.forget(run.layout.pca_output)
    )
    yield Scenario("the output of PCA is short", FAILED, act=lambda run: run.shorten(run.layout.pca_output))


def _aws_unwell() -> Iterator[Scenario]:
    yield Scenario(
        "DescribeCluster and TerminateJobFlows are throttled, then answered with 500, for a minute each",
        SUCCESS,
        arm=_unwell_for_a_minute,
        act=_go_on_after_it,
    )
    yield Scenario(
        "TerminateJobFlows is denied for good: the idle limit",
        FAILED,
        arm=_never_terminate,
        act=_let_idle_after_the_end,
        seconds_after=_LONG,
    )
    yield Scenario(
        "the answer of AddJobFlowSteps is lost",
        SUCCESS,
        arm=fault(Fault(service="emr", operation="AddJobFlowSteps", calls=1, effect=Drop())),
    )
    yield Scenario("somebody protects the cluster from termination", SUCCESS, act=_protect)
    yield Scenario(
        "S3 refuses writes from the start",
        FAILED,
        arm=fault(Fault(service="s3", operation="PutObject", key_prefix="Results/", effect=DENIED)),
    )
    yield Scenario(
        "S3 refuses the new pointer",
        FAILED,
        arm=fault(
            Fault(service="s3", operation="PutObject", key_prefix="Results/pca_output/", effect=DENIED)
        ),
    )
    yield Scenario(
        "S3 is slow", SUCCESS, arm=fault(Fault(service="s3", operation="*", effect=Delay(seconds=0.15)))
    )
    yield Scenario(
        "S3 throttles for a while",
        SUCCESS,
        arm=fault(Fault(service="s3", operation="*", calls=6, effect=Throttle())),
    )


def _processes_die() -> Iterator[Scenario]:
    for names in PARTS:
        yield Scenario(
            f"the process of every task is killed once: {', '.join(names)}",
            SUCCESS,
            act=_kill(names),
            retried=names,
        )
    yield Scenario(
        "the triggerer is killed and restarted", SUCCESS, arm=_start_slowly, act=_restart("triggerer")
    )
    yield Scenario(
        "the scheduler is killed and restarted", SUCCESS, arm=_start_slowly, act=_restart("scheduler")
    )
    yield Scenario(
        "the triggerer is killed for good and a step hangs",
        FAILED,
        arm=when_step_runs(HangStep(), FEATURIZE),
        act=_without_triggerer,
        parameters={"max_step_hours": 0.004},
        replayed=(),
    )
    yield Scenario(
        "the scheduler is killed for good and Spot has nothing to give: the fleet's time limit",
        GONE,
        arm=when_cluster_is("STARTING", WithholdSpot()),
        act=_abandon("wait_for_cluster"),
        seconds_after=_LONG,
    )
    yield Scenario(
        "the scheduler is killed for good and a step is slow: the step's time limit, then the idle limit",
        GONE,
        arm=fault(
            Fault(service="s3", operation="GetObject", key_prefix="Test/", effect=Delay(seconds=A_MINUTE))
        ),
        act=_abandon("wait_for_featurize", lambda run: run.wait_until_step_failed(FEATURIZE)),
        parameters={"max_step_hours": 0.004},
        replayed=(),
        seconds_after=_LONG,
    )
    yield Scenario(
        "the scheduler is killed for good while the cluster is idle: the idle limit",
        GONE,
        arm=_start_slowly,
        act=_abandon("wait_for_cluster", _go_on),
        seconds_after=_LONG,
    )
    yield Scenario(
        "the scheduler is killed for good and a step hangs: the hard lifetime",
        GONE,
        arm=when_step_runs(HangStep(), FEATURIZE),
        act=_abandon("wait_for_featurize"),
        # As the idle limit, but counted from the node's boot.
        parameters={"max_hours": 0.4, "max_start_minutes": 20},
        replayed=(),
        seconds_after=_LONG,
    )
    yield Scenario(
        "the scheduler is killed for good and a step hangs: the command line",
        GONE,
        arm=when_step_runs(HangStep(), FEATURIZE),
        act=_abandon("wait_for_featurize", reap_from_the_command_line),
        replayed=(),
        seconds_after=_LONG,
    )


def _people() -> Iterator[Scenario]:
    for state in (FAILED, SUCCESS):
        yield Scenario(
            f"the run is marked {state}", state, arm=_start_slowly, act=_mark(state), seconds_after=_LONG
        )
    yield Scenario(
        "create_cluster is cleared while the run waits", SUCCESS, arm=_start_slowly, act=_clear_task
    )
    yield Scenario("the run is cleared while it waits", SUCCESS, arm=_start_slowly, act=_clear)
    yield Scenario("the run is deleted: the reaper", GONE, arm=_never_start, act=_delete, seconds_after=_LONG)
    yield Scenario("the DAG is paused for good: the idle limit", FAILED, arm=_start_slowly, act=_pause)
    yield Scenario(
        "two runs at once, one of which is marked failed", SUCCESS, arm=_start_slowly, act=_two_at_once
    )
    yield Scenario("the same run is triggered twice", SUCCESS, arm=_start_slowly, act=_trigger_again)
    yield Scenario("the run is cleared after its end", SUCCESS, act=_run_again)


# --- what happens to a run under way ---------------------------------------------------------------


def _start_slowly(arena: Arena) -> None:
    """The cluster stays STARTING until it is released, so that there is a run to disturb."""
    arena.control.arm(Hold(), state="STARTING")


_never_start = _start_slowly


def _unwell_for_a_minute(arena: Arena) -> None:
    """The cluster starts slowly meanwhile: idle for a minute, it would end by its limit, sped up here."""
    _start_slowly(arena)
    for operation in ("DescribeCluster", "TerminateJobFlows"):
        for calls, effect in ((2, Throttle()), (None, BROKEN)):
            arena.control.add_fault(
                Fault(service="emr", operation=operation, calls=calls, seconds=A_MINUTE, effect=effect)
            )


def _go_on_after_it(run: Running) -> None:
    run.until_answered("DescribeCluster")
    _go_on(run)


def _never_idle(arena: Arena) -> None:
    """The idle limit, sped up here, would end a cluster that waits as long as a task takes to time out."""
    arena.control.arm(Hold(), state="WAITING")


def _never_terminate(arena: Arena) -> None:
    """Nobody may end the cluster, and it is not idle for long enough before the run has seen that."""
    denied = Error(status=400, code="AccessDeniedException", message="You may not.")
    arena.control.add_fault(Fault(service="emr", operation="TerminateJobFlows", effect=denied))
    _never_idle(arena)


def _let_idle_after_the_end(run: Running) -> None:
    run.wait_until_ended()
    _go_on(run)


def _go_on(run: Running) -> None:
    for cluster_id in run.alive():
        run.release(cluster_id)


def _protect(run: Running) -> None:
    run.until("wait_for_cluster", "running", "deferred", "success")
    for cluster_id in run.alive():
        run.arena.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=True)


def _delayed(run: Running, task_id: str, seconds: float, operation: str) -> str:
    """The task's first attempt waits on its call; later ones do not. The rule's id."""
    changes = {"effect": Delay(seconds=seconds), "calls": 1, "operation": operation}
    return run.arena.control.add_fault(TASKS[task_id].model_copy(update=changes))


def _one_after_the_other(
    names: tuple[str, ...],
    arm: Callable[[Running, str], str],
    strike: Callable[[Running, str, str], None],
) -> Callable[[Running], None]:
    """Every task's rule in its time, and then what happens to the task that has met it."""

    def act(run: Running) -> None:
        rules = {name: arm(run, name) for name in names if name not in AFTER}
        for name in names:
            if name in AFTER:
                run.until(AFTER[name], "success")
                rules[name] = arm(run, name)
            run.until_struck(rules[name])
            strike(run, name, rules[name])

    return act


def _kill(names: tuple[str, ...]) -> Callable[[Running], None]:
    def arm(run: Running, name: str) -> str:
        return _delayed(run, name, _ON_ITS_WAY if name in LOOKS else 8, TASKS[name].operation)

    return _one_after_the_other(names, arm, lambda run, name, _: run.kill_task(name))


def _time_out(names: tuple[str, ...]) -> Callable[[Running], None]:
    """The rules last longer than a task may take, of which the teardown has twice as long."""

    def arm(run: Running, name: str) -> str:
        seconds = 41 if name == "terminate_cluster" else 23
        return _delayed(run, name, seconds, LOOKS.get(name, TASKS[name].operation))

    return _one_after_the_other(names, arm, lambda *_: None)


def _restart(component: str) -> Callable[[Running], None]:
    def act(run: Running) -> None:
        run.until("wait_for_cluster", "deferred")
        run.arena.kill(component)
        run.arena.restart(component)
        _go_on(run)

    return act


def _without_triggerer(run: Running) -> None:
    """Nobody waits for the step any more: the scheduler wakes the sensor at the time limit that it left."""
    run.until("wait_for_featurize", "deferred")
    run.arena.kill("triggerer")
    try:
        run.wait_until_ended()
    finally:
        run.arena.restart("triggerer")


def _abandon(task_id: str, then: Callable[[Running], None] = lambda _: None) -> Callable[[Running], None]:
    """Airflow dies and stays dead until no cluster is left."""

    def act(run: Running) -> None:
        run.until(task_id, "deferred")
        run.arena.kill("scheduler")
        run.abandoned()
        then(run)
        run.wait_until_no_cluster()
        run.arena.restart("scheduler")
        run.delete_for_good()

    return act


def _mark(state: str) -> Callable[[Running], None]:
    def act(run: Running) -> None:
        run.until("wait_for_cluster", "deferred")
        run.mark(state)

    return act


def _clear_task(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    run.clear_task("create_cluster")
    _go_on(run)


def _clear(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    run.clear()
    _go_on(run)


def _delete(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    if run.delete() != 409:
        raise ScenarioError("Airflow let a running run be deleted: play that too")
    run.delete_for_good()
    run.reap()


def _pause(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    with run.paused():
        _go_on(run)
        run.wait_until_no_cluster()


def _two_at_once(run: Running) -> None:
    """Both have a cluster at the same time; one run's end ends its own and not the other's."""
    run.until("wait_for_cluster", "deferred")
    _start_slowly(run.arena)
    other = run.twin()
    other.until("wait_for_cluster", "deferred")
    mine, theirs = run.alive(), other.alive()
    if (len(mine), len(theirs)) != (1, 1) or mine == theirs:
        raise ScenarioError(f"the runs had the clusters {mine} and {theirs}")
    other.mark("failed")
    other.wait_until_no_cluster()
    if run.alive() != mine:
        raise ScenarioError("the teardown of one run ended the other's cluster")
    _go_on(run)


def _trigger_again(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    if run.trigger_again() != 409:
        raise ScenarioError("Airflow accepted a second run of the same id")
    _go_on(run)


def _run_again(run: Running) -> None:
    run.wait_until_ended()
    run.again()
