"""What a scenario does to a run under way, and how it makes room for it."""

from collections.abc import Callable
from typing import Any, Final

from chaos import limits
from chaos.driver import Arena
from chaos.running import Running, ScenarioError
from fruit_contract.layout import (
    ARTIFACTS_PREFIX,
    DAG_ID,
    INPUT_PREFIX,
    LATEST_KEY,
    PCA_OUTPUTS_PREFIX,
    WORK_LISTS_PREFIX,
)
from fruit_pipeline.cluster.identity import FEATURIZE
from fruit_pipeline.results import claims
from fruit_pipeline.results.claims import Owner
from local_aws.emr.outside_events import FailStep, Hold, LosePrimary, ReclaimSpot
from local_aws.faults import Delay, Error, Fault, ServiceName, Throttle

BROKEN: Final = Error(status=500, code="InternalServerException", message="An internal error occurred.")
A_MINUTE: Final = 60.0
_LONGEST_DELAY: Final = 600.0
"""The longest that local AWS grants."""


def _call(service: ServiceName, operation: str, prefix: str | None = None) -> Fault:
    return Fault(service=service, operation=operation, key_prefix=prefix, effect=Delay(seconds=1))


TASKS: Final = {
    "plan": _call("s3", "ListObjectsV2", INPUT_PREFIX),
    "guards": _call("iam", "GetRole"),
    "publish_artifacts": _call("s3", "HeadObject", ARTIFACTS_PREFIX),
    "create_cluster": _call("emr", "RunJobFlow"),
    "wait_for_cluster": _call("emr", "DescribeCluster"),
    "add_featurize_step": _call("emr", "AddJobFlowSteps"),
    "wait_for_featurize": _call("emr", "DescribeStep"),
    "add_pca_step": _call("emr", "AddJobFlowSteps"),
    "wait_for_pca": _call("emr", "DescribeStep"),
    "add_train_step": _call("emr", "AddJobFlowSteps"),
    "wait_for_train": _call("emr", "DescribeStep"),
    "terminate_cluster": _call("emr", "TerminateJobFlows"),
    "verify": _call("s3", "GetObject", PCA_OUTPUTS_PREFIX),
    "publish": _call("s3", "PutObject", LATEST_KEY),
    "clean": _call("s3", "ListObjectsV2", WORK_LISTS_PREFIX),
    "report": _call("s3", "PutObject").model_copy(update={"key_pattern": r"/report\.json$"}),
}
"""For each task a call that it makes: delayed, the task is there long enough to be killed or to time out."""

LOOKS: Final = {
    "create_cluster": "ListClusters",
    "add_featurize_step": "ListSteps",
    "add_pca_step": "ListSteps",
    "add_train_step": "ListSteps",
}
"""What these ask before their call, which would take effect long after they have given up waiting for it."""

AFTER: Final = {
    "create_cluster": "publish_artifacts",
    "wait_for_cluster": "create_cluster",
    "add_featurize_step": "wait_for_cluster",
    "wait_for_featurize": "add_featurize_step",
    "add_pca_step": "wait_for_featurize",
    "wait_for_pca": "add_pca_step",
    "add_train_step": "wait_for_pca",
    "wait_for_train": "add_train_step",
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


def start_slowly(arena: Arena) -> None:
    """The cluster stays STARTING until it is released: the run is there for something to happen to it."""
    arena.control.cause_later(Hold(), state="STARTING")


def unwell_for_a_minute(arena: Arena) -> None:
    """The run waits for the cluster meanwhile, so that it meets these answers."""
    start_slowly(arena)
    for operation in ("DescribeCluster", "TerminateJobFlows"):
        for calls, effect in ((2, Throttle()), (None, BROKEN)):
            arena.control.add_fault(
                Fault(service="emr", operation=operation, calls=calls, seconds=A_MINUTE, effect=effect)
            )


def read_photos_slowly(arena: Arena) -> None:
    """So slowly that the step's time limit comes before the first photo."""
    delay = Delay(seconds=_LONGEST_DELAY)
    arena.control.add_fault(Fault(service="s3", operation="GetObject", key_prefix=INPUT_PREFIX, effect=delay))


def lose_the_driver(arena: Arena) -> None:
    """One of two workers goes, and with it the step's driver."""
    for event in (ReclaimSpot(role="CORE", count=1), FailStep()):
        arena.control.cause_later(event, step=FEATURIZE)


def wait_for_spot_in_vain(run: Running) -> None:
    """The fleet's time limit comes within seconds; the second cluster has all of its time again."""
    run.until_all_happened()
    run.hurry()
    run.until_no_cluster_lives()
    run.arena.control.set_factors(limits.PATIENT)


def lose_the_second_too(run: Running) -> None:
    """Once the first cluster is lost, the one in its place is to be lost in the same step."""
    run.until_all_happened()
    run.arena.control.cause_later(LosePrimary(), step=FEATURIZE)


def go_on_after_it(run: Running) -> None:
    run.until_answered("DescribeCluster")
    go_on(run)


def never_terminate(arena: Arena) -> None:
    denied = Error(status=400, code="AccessDeniedException", message="You may not.")
    arena.control.add_fault(Fault(service="emr", operation="TerminateJobFlows", effect=denied))


def hurry_after(before: Callable[[Running], object]) -> Callable[[Running], None]:
    def act(run: Running) -> None:
        before(run)
        run.hurry()

    return act


def go_on(run: Running) -> None:
    for cluster_id in run.alive():
        run.release(cluster_id)


def protect(run: Running) -> None:
    run.until("wait_for_cluster", "running", "deferred", "success")
    for cluster_id in run.alive():
        run.arena.emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=True)


def delayed(run: Running, task_id: str, **changes: Any) -> str:
    """The task's first attempt waits on its call; later ones do not. The rule's id."""
    return run.arena.control.add_fault(TASKS[task_id].model_copy(update=changes))


def one_after_the_other(
    names: tuple[str, ...],
    add_rule: Callable[[Running, str], str],
    strike: Callable[[Running, str, str], None],
) -> Callable[[Running], None]:
    """Every task's rule in its time, and then what happens to the task that has met it."""

    def act(run: Running) -> None:
        rules = {name: add_rule(run, name) for name in names if name not in AFTER}
        for name in names:
            if name in AFTER:
                run.until(AFTER[name], "success")
                rules[name] = add_rule(run, name)
            run.until_struck(rules[name])
            strike(run, name, rules[name])

    return act


def kill(names: tuple[str, ...]) -> Callable[[Running], None]:
    def add_rule(run: Running, name: str) -> str:
        delay = Delay(seconds=run.arena.pace.seconds(_ON_ITS_WAY if name in LOOKS else 8))
        return delayed(run, name, calls=1, effect=delay)

    return one_after_the_other(names, add_rule, lambda run, name, _: run.kill_task(name))


def time_out(names: tuple[str, ...]) -> Callable[[Running], None]:
    """The rules act as long as a task may take from its call on; the teardown may take twice as long.

    A client that gives up on its call before that asks again, and waits again.
    """

    def add_rule(run: Running, name: str) -> str:
        seconds = run.arena.pace.seconds(limits.TASK_SECONDS) * (2 if name == "terminate_cluster" else 1)
        operation = LOOKS.get(name, TASKS[name].operation)
        delay = Delay(seconds=min(_LONGEST_DELAY, 2 * seconds))
        return delayed(run, name, seconds=seconds, effect=delay, operation=operation)

    return one_after_the_other(names, add_rule, lambda *_: None)


def restart(component: str) -> Callable[[Running], None]:
    def act(run: Running) -> None:
        run.until("wait_for_cluster", "deferred")
        run.arena.kill(component)
        run.arena.restart(component)
        go_on(run)

    return act


def without_triggerer(run: Running) -> None:
    """Nobody waits for the step any more: the scheduler wakes the sensor at the time limit that it left."""
    run.until("wait_for_featurize", "deferred")
    run.arena.kill("triggerer")
    try:
        run.wait_until_ended()
    finally:
        run.arena.restart("triggerer")


def abandon(task_id: str, then: Callable[[Running], None] = Running.hurry) -> Callable[[Running], None]:
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


def mark(state: str) -> Callable[[Running], None]:
    def act(run: Running) -> None:
        run.until("wait_for_cluster", "deferred")
        run.mark(state)

    return act


def clear_task(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    run.clear_task("create_cluster")
    go_on(run)


def clear(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    run.clear()
    go_on(run)


def delete(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    if run.delete() != 409:
        raise ScenarioError("Airflow let a running run be deleted: play that too")
    run.delete_for_good()
    run.reap()


def pause(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    with run.paused():
        go_on(run)
        run.hurry()
        run.wait_until_no_cluster()


def two_at_once(run: Running) -> None:
    """Both have a cluster at the same time; one run's end ends its own and not the other's."""
    run.until("wait_for_cluster", "deferred")
    start_slowly(run.arena)
    other = run.twin()
    other.until("wait_for_cluster", "deferred")
    mine, theirs = run.alive(), other.alive()
    if (len(mine), len(theirs)) != (1, 1) or mine == theirs:
        raise ScenarioError(f"the runs had the clusters {mine} and {theirs}")
    other.mark("failed")
    other.wait_until_no_cluster()
    if run.alive() != mine:
        raise ScenarioError("the teardown of one run ended the other's cluster")
    go_on(run)


def trigger_again(run: Running) -> None:
    run.until("wait_for_cluster", "deferred")
    if run.trigger_again() != 409:
        raise ScenarioError("Airflow accepted a second run of the same id")
    go_on(run)


def run_again(run: Running) -> None:
    run.wait_until_ended()
    run.again()


def clear_what_is_published(run: Running) -> None:
    """It is refused in one sentence, and changes nothing of the result."""
    run.wait_until_ended()
    before = run.arena.published()
    run.end = None
    run.clear_task("add_pca_step")
    run.wait_until_ended()
    if run.arena.published() != before:
        raise ScenarioError("clearing a task of a published run has changed its result")


def claim_for_another(arena: Arena) -> None:
    """An installation that shares the bucket, and whose schedule agrees, was a moment earlier."""
    claims.claim(arena.s3, arena.bucket, Owner("another", DAG_ID, arena.run_id))


def stay_apart(run: Running) -> None:
    run.wait_until_ended()
    if written := list(run.arena.keys(run.layout.pca_output)):
        raise ScenarioError(f"the run wrote what another has claimed: {written}")
