"""What goes wrong, one scenario each, in the words of the table.

A scenario says how the run must end. Whatever it is, no cluster may be left, none made twice, and the
old result must stay readable: the driver looks at that after each.
"""

from collections.abc import Callable, Iterator
from typing import Final

from chaos import acts
from chaos.driver import Arena, Scenario
from chaos.outside import reap_from_the_command_line
from chaos.running import GONE, Running
from fruit_contract.layout import LATEST_KEY
from fruit_pipeline.cluster.identity import FEATURIZE, REDUCE, TRAIN
from local_aws.emr.outside_events import (
    CompleteStep,
    FailBootstrap,
    FailStep,
    HangStep,
    Hold,
    OutsideEvent,
    ReclaimSpot,
    WithholdSpot,
)
from local_aws.faults import Delay, Drop, Error, Fault, Throttle

SUCCESS: Final = "success"
FAILED: Final = "failed"
DENIED: Final = Error(status=403, code="AccessDenied", message="Access Denied")


def fault(rule: Fault) -> Callable[[Arena], object]:
    return lambda arena: arena.control.add_fault(rule)


def when_step_runs(event: OutsideEvent, step: str) -> Callable[[Arena], object]:
    return lambda arena: arena.control.cause_later(event, step=step)


def when_cluster_is(state: str, event: OutsideEvent) -> Callable[[Arena], object]:
    return lambda arena: arena.control.cause_later(event, state=state)


def scenarios() -> Iterator[Scenario]:
    """Every scenario, in the order of the table; the first is the one that nothing disturbs."""
    yield Scenario("nothing goes wrong", SUCCESS, replayed=())
    yield from _creating()
    yield from _on_the_cluster()
    yield from _aws_unwell()
    yield from _processes_die()
    yield from _people()
    yield from _timeouts()


def _timeouts() -> Iterator[Scenario]:
    for names in acts.PARTS:
        yield Scenario(
            f"every task times out once: {', '.join(names)}",
            SUCCESS,
            act=acts.time_out(names),
            short_tasks=True,
            retried=names,
        )


def _creating() -> Iterator[Scenario]:
    run_job_flow = {"service": "emr", "operation": "RunJobFlow"}
    yield Scenario(
        "RunJobFlow is throttled three times",
        SUCCESS,
        prepare=fault(Fault.model_validate({**run_job_flow, "calls": 3, "effect": Throttle()})),
    )
    yield Scenario(
        "the answer of RunJobFlow is lost",
        SUCCESS,
        prepare=fault(Fault.model_validate({**run_job_flow, "calls": 1, "effect": Drop()})),
    )
    yield Scenario(
        "RunJobFlow is refused",
        FAILED,
        prepare=fault(
            Fault.model_validate(
                {**run_job_flow, "effect": Error(status=400, code="ValidationException", message="no")}
            )
        ),
    )
    yield Scenario(
        "the cluster never leaves STARTING",
        FAILED,
        prepare=when_cluster_is("STARTING", Hold()),
        limits={"max_start_minutes": 0.1},
    )
    yield Scenario(
        "the bootstrap fails",
        FAILED,
        prepare=when_cluster_is("STARTING", FailBootstrap()),
    )


def _on_the_cluster() -> Iterator[Scenario]:
    yield Scenario(
        "Spot is reclaimed during featurize: one more cluster",
        SUCCESS,
        prepare=when_step_runs(ReclaimSpot(), FEATURIZE),
        replayed=(),
    )
    yield Scenario(
        "Spot is reclaimed during PCA: one more cluster",
        SUCCESS,
        prepare=when_step_runs(ReclaimSpot(), REDUCE),
        replayed=(FEATURIZE,),
    )
    yield Scenario(
        "Spot is reclaimed during train: one more cluster",
        SUCCESS,
        prepare=when_step_runs(ReclaimSpot(), TRAIN),
        replayed=(FEATURIZE, REDUCE),
    )
    yield Scenario(
        "Spot is reclaimed while the cluster is idle: one more cluster",
        SUCCESS,
        prepare=when_cluster_is("WAITING", ReclaimSpot()),
        replayed=(),
    )
    yield Scenario(
        "the primary is lost during featurize: one more cluster",
        SUCCESS,
        prepare=when_step_runs(ReclaimSpot(role="MASTER"), FEATURIZE),
        replayed=(),
    )
    yield Scenario(
        "a worker with the driver is lost during featurize: one more cluster",
        SUCCESS,
        prepare=acts.lose_the_driver,
        replayed=(),
    )
    yield Scenario(
        "Spot has nothing to give: one more cluster",
        SUCCESS,
        prepare=when_cluster_is("STARTING", WithholdSpot()),
        act=acts.wait_for_spot_in_vain,
    )
    yield Scenario(
        "the second cluster is lost, too",
        FAILED,
        prepare=when_step_runs(ReclaimSpot(), FEATURIZE),
        act=acts.lose_the_second_too,
        replayed=(),
    )
    yield Scenario(
        "one of two workers is reclaimed during featurize",
        SUCCESS,
        prepare=when_step_runs(ReclaimSpot(role="CORE", count=1), FEATURIZE),
        replayed=(),
    )
    yield Scenario(
        "the featurize step fails", FAILED, prepare=when_step_runs(FailStep(), FEATURIZE), replayed=()
    )
    yield Scenario(
        "the PCA step fails", FAILED, prepare=when_step_runs(FailStep(), REDUCE), replayed=(FEATURIZE,)
    )
    yield Scenario(
        "the train step fails",
        FAILED,
        prepare=when_step_runs(FailStep(), TRAIN),
        replayed=(FEATURIZE, REDUCE),
    )
    yield Scenario(
        "the featurize step hangs",
        FAILED,
        prepare=when_step_runs(HangStep(), FEATURIZE),
        limits={"max_step_hours": 0.002},
        replayed=(),
    )
    yield Scenario(
        "featurize succeeds but wrote nothing",
        FAILED,
        prepare=when_step_runs(CompleteStep(), FEATURIZE),
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
        prepare=acts.unwell_for_a_minute,
        act=acts.go_on_after_it,
    )
    yield Scenario(
        "TerminateJobFlows is denied for good: the idle limit",
        FAILED,
        prepare=acts.never_terminate,
        act=acts.hurry_after(Running.wait_until_ended),
        outlived=True,
    )
    yield Scenario(
        "the answer of AddJobFlowSteps is lost",
        SUCCESS,
        prepare=fault(Fault(service="emr", operation="AddJobFlowSteps", calls=1, effect=Drop())),
    )
    yield Scenario("somebody protects the cluster from termination", SUCCESS, act=acts.protect)
    yield Scenario(
        "S3 refuses writes from the start",
        FAILED,
        prepare=fault(Fault(service="s3", operation="PutObject", key_prefix="Results/", effect=DENIED)),
    )
    yield Scenario(
        "S3 refuses the new pointer",
        FAILED,
        prepare=fault(Fault(service="s3", operation="PutObject", key_prefix=LATEST_KEY, effect=DENIED)),
    )
    yield Scenario(
        "S3 is slow", SUCCESS, prepare=fault(Fault(service="s3", operation="*", effect=Delay(seconds=0.15)))
    )
    yield Scenario(
        "S3 throttles for a while",
        SUCCESS,
        prepare=fault(Fault(service="s3", operation="*", calls=6, effect=Throttle())),
    )


def _processes_die() -> Iterator[Scenario]:
    for names in acts.PARTS:
        yield Scenario(
            f"the process of every task is killed once: {', '.join(names)}",
            SUCCESS,
            act=acts.kill(names),
            retried=names,
        )
    yield Scenario(
        "the triggerer is killed and restarted",
        SUCCESS,
        prepare=acts.start_slowly,
        act=acts.restart("triggerer"),
    )
    yield Scenario(
        "the scheduler is killed and restarted",
        SUCCESS,
        prepare=acts.start_slowly,
        act=acts.restart("scheduler"),
    )
    yield Scenario(
        "the triggerer is killed for good and a step hangs",
        FAILED,
        prepare=when_step_runs(HangStep(), FEATURIZE),
        act=acts.without_triggerer,
        limits={"max_step_hours": 0.01},
        replayed=(),
    )
    yield Scenario(
        "the scheduler is killed for good and Spot has nothing to give: the fleet's time limit",
        GONE,
        prepare=when_cluster_is("STARTING", WithholdSpot()),
        act=acts.abandon("wait_for_cluster"),
        outlived=True,
    )
    yield Scenario(
        "the scheduler is killed for good and a step is slow: the step's time limit, then the idle limit",
        GONE,
        prepare=acts.read_photos_slowly,
        act=acts.abandon(
            "wait_for_featurize", acts.hurry_after(lambda run: run.wait_until_step_failed(FEATURIZE))
        ),
        limits={"max_step_hours": 0.01},
        replayed=(),
        outlived=True,
    )
    yield Scenario(
        "the scheduler is killed for good while the cluster is idle: the idle limit",
        GONE,
        prepare=acts.start_slowly,
        act=acts.abandon("wait_for_cluster", acts.hurry_after(acts.go_on)),
        outlived=True,
    )
    yield Scenario(
        "the scheduler is killed for good and a step hangs: the hard lifetime",
        GONE,
        prepare=when_step_runs(HangStep(), FEATURIZE),
        act=acts.abandon("wait_for_featurize"),
        replayed=(),
        outlived=True,
    )
    yield Scenario(
        "the scheduler is killed for good and a step hangs: the command line",
        GONE,
        prepare=when_step_runs(HangStep(), FEATURIZE),
        act=acts.abandon("wait_for_featurize", reap_from_the_command_line),
        replayed=(),
        outlived=True,
    )


def _people() -> Iterator[Scenario]:
    for state in (FAILED, SUCCESS):
        yield Scenario(
            f"the run is marked {state}",
            state,
            prepare=acts.start_slowly,
            act=acts.mark(state),
            outlived=True,
        )
    yield Scenario(
        "create_cluster is cleared while the run waits",
        SUCCESS,
        prepare=acts.start_slowly,
        act=acts.clear_task,
    )
    yield Scenario("the run is cleared while it waits", SUCCESS, prepare=acts.start_slowly, act=acts.clear)
    yield Scenario(
        "the run is deleted: the reaper",
        GONE,
        prepare=acts.start_slowly,
        act=acts.delete,
        outlived=True,
    )
    yield Scenario(
        "the DAG is paused for good: the idle limit", FAILED, prepare=acts.start_slowly, act=acts.pause
    )
    yield Scenario(
        "two runs at once, one of which is marked failed",
        SUCCESS,
        prepare=acts.start_slowly,
        act=acts.two_at_once,
    )
    yield Scenario(
        "the same run is triggered twice", SUCCESS, prepare=acts.start_slowly, act=acts.trigger_again
    )
    yield Scenario("the run is cleared after its end", SUCCESS, act=acts.run_again)
    yield Scenario(
        "a middle task of the run is cleared after its end: refused", FAILED, act=acts.clear_what_is_published
    )
    yield Scenario(
        "another installation has claimed the run's keys",
        SUCCESS,
        prepare=acts.claim_for_another,
        act=acts.stay_apart,
        replayed=(),
    )
