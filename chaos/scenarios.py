"""What goes wrong, one scenario each, in the words of the table.

A scenario says how the run must end. Whatever it is, no cluster may be left, none made twice, and the
old result must stay readable: the driver looks at that after each.
"""

from collections.abc import Callable, Iterator
from typing import Final

from chaos.driver import GONE, Arena, Running, Scenario, ScenarioError
from chaos.outside import reap_from_the_command_line
from fruit_pipeline.steps import FEATURIZE, REDUCE
from local_aws.emr.moves import CompleteStep, FailBootstrap, FailStep, HangStep, Hold, Move, ReclaimSpot
from local_aws.faults import Delay, Drop, Error, Fault, Throttle

SUCCESS: Final = "success"
FAILED: Final = "failed"
DENIED: Final = Error(status=403, code="AccessDenied", message="Access Denied")
BROKEN: Final = Error(status=500, code="InternalServerException", message="An internal error occurred.")
A_MINUTE: Final = 60.0

CALLS: Final = {
    "plan": Fault(service="s3", operation="ListObjectsV2", key_prefix="Test/", effect=Delay(seconds=1)),
    "guards": Fault(service="s3", operation="GetBucketLocation", effect=Delay(seconds=1)),
    "publish_artifacts": Fault(
        service="s3", operation="HeadObject", key_prefix="artifacts/", effect=Delay(seconds=1)
    ),
    "create_cluster": Fault(service="emr", operation="RunJobFlow", effect=Delay(seconds=1)),
    "wait_for_cluster": Fault(service="emr", operation="DescribeCluster", first=3, effect=Delay(seconds=1)),
    "add_featurize_step": Fault(service="emr", operation="AddJobFlowSteps", effect=Delay(seconds=1)),
    "wait_for_featurize": Fault(service="emr", operation="DescribeStep", effect=Delay(seconds=1)),
    "add_pca_step": Fault(service="emr", operation="AddJobFlowSteps", first=2, effect=Delay(seconds=1)),
    "wait_for_pca": Fault(service="emr", operation="DescribeStep", first=2, effect=Delay(seconds=1)),
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


def fault(rule: Fault) -> Callable[[Arena], object]:
    return lambda arena: arena.control.add_fault(rule)


def delayed(task_id: str, seconds: float) -> Callable[[Arena], object]:
    """The task's first attempt waits on its call; later ones do not."""
    return fault(CALLS[task_id].model_copy(update={"effect": Delay(seconds=seconds), "calls": 1}))


def when_step_runs(move: Move, step: str) -> Callable[[Arena], object]:
    return lambda arena: arena.control.arm(move, step=step)


def when_cluster_is(state: str, move: Move) -> Callable[[Arena], object]:
    return lambda arena: arena.control.arm(move, state=state)


def scenarios() -> Iterator[Scenario]:
    """Every scenario that runs with the ordinary limits, in the order of the table."""
    yield Scenario("nothing goes wrong", SUCCESS, real_steps=True)
    yield from _creating()
    yield from _on_the_cluster()
    yield from _aws_unwell()
    yield from _processes_die()
    yield from _people()


def timeouts() -> Iterator[Scenario]:
    """Scenarios for an Airflow whose tasks may take a few seconds only."""
    for task_id in CALLS:
        yield Scenario(f"{task_id} times out once", SUCCESS, arm=delayed(task_id, 45))


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
        parameters={"max_start_minutes": 0.2},
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
        real_steps=True,
    )
    yield Scenario(
        "Spot is reclaimed during PCA", FAILED, arm=when_step_runs(ReclaimSpot(), REDUCE), real_steps=True
    )
    yield Scenario(
        "Spot is reclaimed while the cluster is idle",
        FAILED,
        arm=when_cluster_is("WAITING", ReclaimSpot()),
        real_steps=True,
    )
    yield Scenario(
        "the featurize step fails", FAILED, arm=when_step_runs(FailStep(), FEATURIZE), real_steps=True
    )
    yield Scenario("the PCA step fails", FAILED, arm=when_step_runs(FailStep(), REDUCE), real_steps=True)
    yield Scenario(
        "the featurize step hangs",
        FAILED,
        arm=when_step_runs(HangStep(), FEATURIZE),
        parameters={"max_step_hours": 0.004},
        real_steps=True,
    )
    yield Scenario(
        "featurize succeeds but wrote nothing",
        FAILED,
        arm=when_step_runs(CompleteStep(), FEATURIZE),
        real_steps=True,
    )
    yield Scenario(
        "PCA succeeds but wrote nothing", FAILED, act=lambda run: run.forget(run.layout.pca_output)
    )
    yield Scenario("the output of PCA is short", FAILED, act=lambda run: run.shorten(run.layout.pca_output))


def _aws_unwell() -> Iterator[Scenario]:
    for operation in ("DescribeCluster", "TerminateJobFlows"):
        for name, effect in (("throttled", Throttle()), ("answered with 500", BROKEN)):
            rule = {"service": "emr", "operation": operation, "seconds": A_MINUTE, "effect": effect}
            yield Scenario(
                f"{operation} is {name} for a minute", SUCCESS, arm=fault(Fault.model_validate(rule))
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
        "S3 is slow", SUCCESS, arm=fault(Fault(service="s3", operation="*", effect=Delay(seconds=0.3)))
    )
    yield Scenario(
        "S3 throttles for a while",
        SUCCESS,
        arm=fault(Fault(service="s3", operation="*", calls=6, effect=Throttle())),
    )


def _processes_die() -> Iterator[Scenario]:
    for task_id in CALLS:
        yield Scenario(
            f"the process of {task_id} is killed",
            SUCCESS,
            arm=delayed(task_id, 8),
            act=_kill(task_id),
        )
    yield Scenario(
        "the triggerer is killed and restarted", SUCCESS, arm=_start_slowly, act=_restart("triggerer")
    )
    yield Scenario(
        "the scheduler is killed and restarted", SUCCESS, arm=_start_slowly, act=_restart("scheduler")
    )
    yield Scenario(
        "the scheduler is killed for good while the cluster is idle: the idle limit",
        GONE,
        arm=_start_slowly,
        act=_abandon("wait_for_cluster", _go_on),
    )
    yield Scenario(
        "the scheduler is killed for good and a step hangs: the hard lifetime",
        GONE,
        arm=when_step_runs(HangStep(), FEATURIZE),
        act=_abandon("wait_for_featurize"),
        real_steps=True,
    )
    yield Scenario(
        "the scheduler is killed for good and a step hangs: the command line",
        GONE,
        arm=when_step_runs(HangStep(), FEATURIZE),
        act=_abandon("wait_for_featurize", reap_from_the_command_line),
        real_steps=True,
    )


def _people() -> Iterator[Scenario]:
    yield Scenario("the run is marked failed", FAILED, arm=_start_slowly, act=_mark("failed"))
    yield Scenario("the run is marked success", SUCCESS, arm=_start_slowly, act=_mark("success"))
    yield Scenario(
        "create_cluster is cleared while the run waits", SUCCESS, arm=_start_slowly, act=_clear_task
    )
    yield Scenario("the run is cleared while it waits", SUCCESS, arm=_start_slowly, act=_clear)
    yield Scenario("the run is deleted: the reaper", GONE, arm=_never_start, act=_delete)
    yield Scenario("the DAG is paused for good: the idle limit", FAILED, arm=_start_slowly, act=_pause)
    yield Scenario("two runs at once", SUCCESS, act=_second_run)
    yield Scenario("the same run is triggered twice", SUCCESS, arm=_start_slowly, act=_trigger_again)
    yield Scenario("the run is cleared after its end", SUCCESS, act=_run_again)


# --- what happens to a run under way ---------------------------------------------------------------


def _start_slowly(arena: Arena) -> None:
    """The cluster stays STARTING until it is released, so that there is a run to disturb."""
    arena.control.arm(Hold(), state="STARTING")


_never_start = _start_slowly


def _go_on(run: Running) -> None:
    for cluster_id in run.alive():
        run.release(cluster_id)


def _protect(run: Running) -> None:
    run.until("wait_for_cluster", "running", "deferred", "success")
    for cluster_id in run.alive():
        run.arena.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=True)


def _kill(task_id: str) -> Callable[[Running], None]:
    return lambda run: run.kill_task(task_id)


def _restart(component: str) -> Callable[[Running], None]:
    def act(run: Running) -> None:
        run.until("wait_for_cluster", "deferred")
        run.arena.kill(component)
        run.arena.restart(component)
        _go_on(run)

    return act


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


def _second_run(run: Running) -> None:
    other = run.twin()
    other.wait_until_ended()
    if other.end != SUCCESS:
        raise ScenarioError(f"the other run ended as {other.end}")


def _trigger_again(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    if run.trigger_again() != 409:
        raise ScenarioError("Airflow accepted a second run of the same id")
    _go_on(run)


def _run_again(run: Running) -> None:
    run.wait_until_ended()
    run.again()
