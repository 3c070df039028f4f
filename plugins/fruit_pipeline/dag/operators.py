"""The provider's EMR operators and sensors, subclassed only where they leak or mislead.

Read in apache-airflow-providers-amazon 9.39.0; each class says what it changes and why.
"""

import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.sensors.emr import EmrBaseSensor, EmrJobFlowSensor, EmrStepSensor
from airflow.providers.amazon.aws.triggers.emr import EmrCreateJobFlowTrigger
from airflow.sdk import Context
from airflow.sdk.bases.operator import TRIGGER_FAIL_REPR
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.triggers.base import BaseTrigger
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_fixed

from fruit_contract.classifier import NO_CLASSIFIER
from fruit_pipeline.aws import clients, retries
from fruit_pipeline.cluster import interactive, spot_loss
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cluster.identity import BILLABLE_STATES, ENDED_STATES, clusters_of_run, creation_time
from fruit_pipeline.cluster.step_requests import progress_of
from fruit_pipeline.cluster.termination import terminate, terminate_and_wait
from fruit_pipeline.dag.links import HistoryServerLink, StepLogLink
from fruit_pipeline.dag.run_context import (
    CREATE_CLUSTER,
    PUBLISH_ARTIFACTS,
    WAIT_FOR_PCA,
    WAIT_FOR_TRAIN,
    RunContext,
)
from fruit_pipeline.dag.step_trigger import StepProgressTrigger
from fruit_pipeline.errors import without_retry
from fruit_pipeline.notices import messages
from fruit_pipeline.notices.telling import tell
from fruit_pipeline.results import claims, progress
from fruit_pipeline.settings.deployment import Deployment

log = logging.getLogger(__name__)

CLUSTER_ID: Final = "cluster_id"
"""Key of the XCom with the cluster that a step was added to."""
_ADOPTABLE_STEPS: Final = ("PENDING", "RUNNING", "COMPLETED")
_ATTEMPTS: Final = 10
_LOOKS: Final = 3
_NEVER_RAN: Final = (None, "scheduled", "queued", "skipped", "upstream_failed", "removed")
_LONGEST_DEFERRAL: Final = timedelta(minutes=10)
"""A sensor looks for itself at least this often, triggerer or not."""
_A_MOMENT: Final = timedelta(seconds=1)
_STEP_GRACE: Final = 0.05
"""A step ends itself at its time limit; the sensor gives it this share more before it gives up on it."""


def _run_of(context: Context) -> tuple[str, str, str]:
    return Deployment().installation, context["dag"].dag_id, context["run_id"]


def _state_of(cluster: dict[str, Any]) -> str:
    """A cluster as DescribeCluster shows it, in a sentence with EMR's reason."""
    status = cluster["Status"]
    reason = status.get("StateChangeReason", {})
    said = ": ".join(filter(None, (reason.get("Code"), reason.get("Message"))))
    return f"Cluster {cluster['Id']} is {status['State']}{': ' if said else ''}{said}"


class _OnceOnly:
    """An operator whose call must not be repeated blindly: it looks for the call's effect before each try.

    Neither RunJobFlow nor AddJobFlowSteps has a client token, and an answer can be lost after the
    call took effect. The operator's own hook makes each call once; looking is done with retries.
    """

    poll_seconds: int

    def _repeating_client(self) -> Any:
        operator: Any = self
        return EmrHook(**{**operator._hook_parameters, "config": retries.REPEATED}).conn

    def _once_client(self) -> Any:
        operator: Any = self
        return EmrHook(**{**operator._hook_parameters, "config": retries.ONCE}).conn

    def _once(self, context: Context, looked_for: Callable[[], Any], call: Callable[[], Any]) -> Any:
        """What is already there, or else what the call returns; fails for good when EMR refuses the call."""
        # The request of an attempt that was cut off may still be on its way.
        looks = _LOOKS if context["ti"].try_number > 1 else 1
        tries = Retrying(
            retry=retry_if_exception(retries.is_transient),
            wait=wait_fixed(self.poll_seconds),
            stop=stop_after_attempt(_ATTEMPTS),
            before_sleep=self._log_failure,
            reraise=True,
        )
        try:
            return tries(lambda: self._look(looked_for, looks) or call())
        except ClientError as error:
            if retries.is_transient(error):
                raise
            raise AirflowFailException(f"EMR refuses the request: {error}") from None

    def _look(self, looked_for: Callable[[], Any], looks: int) -> Any:
        for look in range(looks):
            if look:
                time.sleep(self.poll_seconds)
            if effect := looked_for():
                return effect
        return None

    def _log_failure(self, state: RetryCallState) -> None:
        operator: Any = self
        if state.outcome is not None:
            operator.log.warning(
                "EMR did not answer as it should (%s): looking in %d s whether the call took effect",
                state.outcome.exception(),
                self.poll_seconds,
            )


class _MovesOn(_OnceOnly):
    """An operator that goes on with another cluster, on demand, where its own was lost to Spot."""

    job_flow_id: str
    moved_on = False

    def _move_on(self, context: Context, failed_step_since: datetime | None = None) -> bool:
        """Take the cluster that came, or comes, in place of one that was lost; False where none does.

        ``failed_step_since`` is when the step began that has failed on it, if one has.
        """
        run = RunContext(context)
        if run.estimate is None or not run.sized.may_be_replaced:
            return False
        emr = self._repeating_client()
        lost = emr.describe_cluster(ClusterId=self.job_flow_id)["Cluster"]
        if not spot_loss.is_of_no_use(lost, step_failed=failed_step_since is not None):
            return False

        def there() -> list[str]:
            return spot_loss.second_clusters(emr, *_run_of(context), lost)

        # EMR may tell of its instances later than of the step or the cluster.
        taken = lambda: spot_loss.was_taken(emr, lost, failed_step_since)  # noqa: E731
        parameters = spot_loss.for_the_rest(run.sized, lost, datetime.now(UTC))
        if not there() and (parameters is None or not self._look(taken, _LOOKS)):
            return False
        found = there()
        oldest, *others = found or self._replace(context, run, lost, parameters, there)
        for other in others:
            terminate(emr, other)
        self.job_flow_id, self.moved_on = oldest, True
        if not found:
            # Every task that comes after this one finds the cluster, and has nothing new to tell.
            notice = messages.lost_to_spot(_state_of(lost), oldest, run.estimate["estimate"])
            tell(context, notice, f"lost {lost['Id']}")
        return True

    def _replace(
        self,
        context: Context,
        run: RunContext,
        lost: dict[str, Any],
        parameters: Any,
        there: Callable[[], list[str]],
    ) -> list[str]:
        """End what is left of the lost cluster, then ask for the other one, once; all that are there then."""
        operator: Any = self
        operator.log.warning("%s. It was lost to Spot: going on with one on demand", _state_of(lost))
        terminate_and_wait(self._repeating_client(), [lost["Id"]], self.poll_seconds)
        asked = run.handed_on(PUBLISH_ARTIFACTS, "job_flow")
        lifetime = asked["BootstrapActions"][0]["ScriptBootstrapAction"]["Path"]
        request = job_flow(parameters, run.deployment, lifetime, run.dag_id, run.run_id, lost["Id"])
        once = self._once_client()
        # Another attempt of this task, which was cut off, may have its request on the way.
        looked_for = lambda: self._look(there, _LOOKS)  # noqa: E731
        made = self._once(context, looked_for, lambda: [once.run_job_flow(**request)["JobFlowId"]])
        return there() or [str(made[0])]


class CreateClusterOperator(_OnceOnly, EmrCreateJobFlowOperator):
    """RunJobFlow, once a DAG run: a retry, or a cleared task, adopts the cluster that is there.

    Returns the cluster's id at once; waiting is another task, so that this one cannot time out
    halfway. Should two attempts have raced each other, both settle on the older cluster.
    """

    def __init__(self, *, poll_seconds: int, **kwargs: Any) -> None:
        kwargs["botocore_config"] = retries.ONCE
        # emr_conn_id=None: the extras of emr_default would be merged into the request, shallowly.
        super().__init__(emr_conn_id=None, deferrable=False, wait_for_completion=False, **kwargs)
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> str:
        emr, run_job_flow = self._repeating_client(), super().execute
        ids = self._once(
            context,
            lambda: [cluster["Id"] for cluster in self._clusters(emr, context)],
            lambda: [run_job_flow(context)],
        )
        oldest, *others = self._clusters(emr, context) or [self._not_listed(emr, str(ids[0]))]
        for other in others:
            self.log.warning("Cluster %s is a second one of this run: terminating it", other["Id"])
            terminate(emr, other["Id"])
        self.log.info("The cluster of this run is %s, in state %s", oldest["Id"], oldest["Status"]["State"])
        return str(oldest["Id"])

    def _clusters(self, emr: Any, context: Context) -> list[dict[str, Any]]:
        """The run's clusters that can still work, oldest first."""
        clusters = clusters_of_run(emr, *_run_of(context), BILLABLE_STATES)
        return sorted(clusters, key=lambda cluster: (creation_time(cluster), cluster["Id"]))

    def _not_listed(self, emr: Any, cluster_id: str) -> dict[str, Any]:
        """The cluster that EMR does not list yet; fails for good if it has ended, as an invalid one does.

        Nothing may look for another then: a retry would make it, and it would end like this one.
        """
        cluster: dict[str, Any] = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        if cluster["Status"]["State"] not in BILLABLE_STATES:
            raise AirflowFailException(_state_of(cluster))
        return cluster

    def on_kill(self) -> None:
        """Leave the cluster to the run's teardown: a killed task may be retried, and then adopts it."""


class AddStepOperator(_MovesOn, EmrAddStepsOperator):
    """Adds one step and returns its id; a retry adopts the step that an earlier attempt added.

    Before that it asks once more whether everything the step would touch lies in the EU, and whether the run
    may still write: a published result stays as it is. Without a step the task is skipped. The cluster that
    has the step is left in an XCom: Spot may have taken the one that was created.
    """

    def __init__(self, *, step: Any, poll_seconds: int, **kwargs: Any) -> None:
        kwargs["botocore_config"] = retries.ONCE
        super().__init__(steps=[step], deferrable=False, wait_for_completion=False, **kwargs)
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> str:
        if self.steps == [None]:
            raise AirflowSkipException("There is nothing to do in this step.")
        (step,) = self.steps
        self._move_on(context)
        emr, add_steps = self._repeating_client(), super().execute
        _check_step(emr, context, self.region_name, self.job_flow_id, step)
        step_id = self._once(
            context,
            lambda: _adopted(emr, self.job_flow_id, step, _ADOPTABLE_STEPS),
            lambda: str(add_steps(context)[0]),
        )
        context["ti"].xcom_push(CLUSTER_ID, self.job_flow_id)
        return str(step_id)


@without_retry()
def _check_step(emr: Any, context: Context, region: Any, cluster_id: str, step: Any) -> None:
    cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    clients.check_residency(region, context["params"]["bucket"], cluster, step)
    run = RunContext(context)
    claims.check_open(run.s3, run.layout, run.owner)


def _adopted(emr: Any, cluster_id: str, step: Any, states: Sequence[str] = ()) -> str | None:
    """The id of the step of that name which is there already, in one of some states or in any."""
    asked = {"StepStates": list(states)} if states else {}
    pages = emr.get_paginator("list_steps").paginate(ClusterId=cluster_id, **asked)
    for summary in (summary for page in pages for summary in page["Steps"]):
        if summary["Name"] == step["Name"]:
            log.info("Adopting step %s, in state %s", summary["Id"], summary["Status"]["State"])
            return str(summary["Id"])
    return None


class EmrAnswerSensor(_MovesOn, EmrBaseSensor):
    """Waits in the triggerer, and whenever it is woken, for whatever reason, goes by EMR's own answer.

    A trigger can die with its triggerer, give up on a throttled call, or report a waiter's words
    around EMR's (the provider's own sensors believe it). This one asks EMR itself: it is done,
    failed for good with EMR's reason, or defers again, until its time limit.

    Where Spot has taken the cluster it waits for the one in its place. It returns the id of the cluster that
    got there. A resumed task begins with the first cluster again, and finds the second by its tag.
    """

    trigger_failed = False
    left = _LONGEST_DEFERRAL
    """Until the time limit, as of the last answer."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.poll_seconds = int(self.poke_interval)

    def execute(self, context: Context) -> Any:
        if self.poke(context):
            return str(self.job_flow_id)
        if self.trigger_failed:
            # A trigger that fails at once must not turn into a storm of resumed tasks.
            time.sleep(self.poke_interval)
        self.defer(
            trigger=self.trigger(),
            timeout=min(_LONGEST_DEFERRAL, self.left + _A_MOMENT),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> Any:
        return self.execute(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        if next_method != TRIGGER_FAIL_REPR:
            return super().resume_execution(next_method, next_kwargs, context)
        self.trigger_failed = True
        self.log.warning("The trigger is back without an answer (%s): asking EMR", next_kwargs)
        return self.execute(context)

    def poke(self, context: Context) -> bool:
        """Whether EMR has got there; fails for good, with EMR's reason, when it never will.

        The provider's own knows the reason of a step that has failed, and of no other end.
        """
        response = self.get_emr_response(context)
        state = self.state_from_response(response)
        self.log.info("EMR says: %s", state)
        if state in self.failed_states:
            # What is in place of a lost cluster is never replaced itself: this ends.
            if self._goes_on(context, response):
                return self.poke(context)
            raise AirflowFailException(self.failure(response))
        return state in self.target_states

    def _goes_on(self, context: Context, response: dict[str, Any]) -> bool:
        """Whether there is another cluster to wait for."""
        return self._move_on(context)

    def get_emr_response(self, context: Context) -> dict[str, Any]:
        response: dict[str, Any] = super().get_emr_response(context)
        if self.state_from_response(response) not in (*self.target_states, *self.failed_states):
            since, limit, what = self.time_limit(response, context)
            self.left = since + limit - datetime.now(UTC)
            if self.left < timedelta(0):
                raise AirflowFailException(f"{what}: see EMR's events, or raise the limit.")
        return response

    @abstractmethod
    def trigger(self) -> BaseTrigger:
        """What to wait with."""

    @abstractmethod
    def failure(self, response: dict[str, Any]) -> str:
        """Why EMR will never get there: what has ended, its id, its state, EMR's reason."""

    @abstractmethod
    def time_limit(self, response: dict[str, Any], context: Context) -> tuple[datetime, timedelta, str]:
        """Since when EMR has been at it, how long that may last, and the sentence when it has."""

    def _trigger_arguments(self) -> dict[str, Any]:
        return {
            "job_flow_id": self.job_flow_id,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": self.botocore_config,
            "waiter_delay": int(self.poke_interval),
            # The deferral's own timeout comes first.
            "waiter_max_attempts": int(_LONGEST_DEFERRAL.total_seconds()),
        }


class ClusterReadySensor(EmrAnswerSensor, EmrJobFlowSensor):
    """Waits until the cluster runs or waits for steps, at most ``max_start_minutes``.

    The provider's deferrable sensor waits for TERMINATED whatever its target states are. The
    waiter used here takes TERMINATED for success, which asking once more puts right.
    """

    operator_extra_links = (HistoryServerLink(),)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            target_states=["RUNNING", "WAITING"],
            failed_states=["TERMINATING", *ENDED_STATES],
            deferrable=True,
            **kwargs,
        )

    def trigger(self) -> BaseTrigger:
        return EmrCreateJobFlowTrigger(waiter_name="job_flow_waiting", **self._trigger_arguments())

    def failure(self, response: dict[str, Any]) -> str:
        return _state_of(response["Cluster"])

    def time_limit(self, response: dict[str, Any], context: Context) -> tuple[datetime, timedelta, str]:
        cluster, minutes = response["Cluster"], float(context["params"]["max_start_minutes"])
        sentence = (
            f"Cluster {cluster['Id']} is still {cluster['Status']['State']} after "
            f"max_start_minutes {minutes:g}"
        )
        return creation_time(cluster), timedelta(minutes=minutes), sentence


class StepSensor(EmrAnswerSensor, EmrStepSensor):
    """Waits for one step, at most ``max_step_hours``; on failure says its name, id, state and why.

    ``step`` is what to add to another cluster, where Spot has taken the first. Its arguments say where the
    step tells its progress, which is logged while the task waits. The task links to the log of the step.
    """

    template_fields: Sequence[str] = (*EmrStepSensor.template_fields, "step")
    operator_extra_links = (StepLogLink(), HistoryServerLink())
    log_bucket = ""
    since: datetime
    """When the step was added: what was said of its progress before is of another one."""

    def __init__(self, *, step: Any, **kwargs: Any) -> None:
        super().__init__(deferrable=True, **kwargs)
        self.step = step

    def _goes_on(self, context: Context, response: dict[str, Any]) -> bool:
        """The step is added to the other cluster, too."""
        status = response["Step"]["Status"]
        began = status["Timeline"].get("StartDateTime") if status["State"] == "FAILED" else None
        if not self._move_on(context, began):
            return False
        emr, once = self._repeating_client(), self._once_client()
        _check_step(emr, context, self.region_name, self.job_flow_id, self.step)
        self.step_id = self._once(
            context,
            lambda: _adopted(emr, self.job_flow_id, self.step),
            lambda: once.add_job_flow_steps(JobFlowId=self.job_flow_id, Steps=[self.step])["StepIds"][0],
        )
        return True

    def get_emr_response(self, context: Context) -> dict[str, Any]:
        self.log_bucket = str(context["params"]["bucket"])
        response = super().get_emr_response(context)
        self.since = response["Step"]["Status"]["Timeline"]["CreationDateTime"]
        if self.progress_address:
            # Tried once: the task wakes again, and nothing waits for this.
            s3 = clients.client("s3", str(self.region_name), Config(**retries.ONCE))
            if said := progress.read(s3, self.progress_address, self.since):
                self.log.info("%s", said)
        return response

    @property
    def progress_address(self) -> str | None:
        return progress_of(self.step) if self.step else None

    def trigger(self) -> BaseTrigger:
        return StepProgressTrigger(
            step_id=self.step_id,
            progress=self.progress_address,
            since=self.since.isoformat(),
            **self._trigger_arguments(),
        )

    def failure(self, response: dict[str, Any]) -> str:
        step = response["Step"]
        status, details = step["Status"], step["Status"].get("FailureDetails", {})
        reasons = [details.get("Message") or details.get("Reason")]
        if "LogFile" in details:
            reasons.append(f"Its log is {details['LogFile']}")
        if not details:
            # Cancelled, or lost with its cluster: EMR tells of the cluster what it does not of the step.
            cluster = self.hook.conn.describe_cluster(ClusterId=self.job_flow_id)["Cluster"]
            own = status.get("StateChangeReason", {}).get("Message")
            reasons = [own or "EMR gives no reason of its own", _state_of(cluster)]
        said = ". ".join(reason.rstrip(".") for reason in reasons if reason)
        return f"Step {step['Name']} ({step['Id']}) is {status['State']}: {said}."

    def time_limit(self, response: dict[str, Any], context: Context) -> tuple[datetime, timedelta, str]:
        step, hours = response["Step"], float(context["params"]["max_step_hours"])
        timeline = step["Status"]["Timeline"]
        since: datetime = timeline.get("StartDateTime") or timeline["CreationDateTime"]
        limit = timedelta(hours=hours) * (1 + _STEP_GRACE)
        if self.moved_on and "StartDateTime" not in timeline:
            # It was added to a cluster that has yet to start.
            limit += timedelta(minutes=float(context["params"]["max_start_minutes"]))
        sentence = f"Step {step['Name']} ({step['Id']}) is not done after max_step_hours {hours:g}"
        return since, limit, sentence


class TerminateClusterOperator(EmrTerminateJobFlowOperator):
    """Ends every cluster of the run, and is done only when EMR says that they have ended.

    One whose work has succeeded and that has interactive time left stays for it: the reaper, its own
    idle limit and its lifetime end it. It is returned, with the end of that time.

    The clusters are found by tag as well as by the id that create_cluster returned, for that id
    is lost when its answer is, or when the task is cleared. It waits in the worker, so that a
    dead triggerer cannot keep a cluster alive, and takes TERMINATED_WITH_ERRORS for ended.
    """

    template_fields: Sequence[str] = tuple(
        field for field in EmrTerminateJobFlowOperator.template_fields if field != "job_flow_id"
    )

    def __init__(self, *, poll_seconds: int, **kwargs: Any) -> None:
        super().__init__(job_flow_id="", deferrable=False, **kwargs)
        self.poll_seconds = poll_seconds

    def execute(self, context: Context) -> dict[str, str]:
        emr, ti = self.hook.conn, context["ti"]
        created = ti.xcom_pull(task_ids=CREATE_CLUSTER)
        # A create that was killed may have left a request on its way: it is looked for more than once.
        for look in range(_LOOKS):
            ids = {cluster["Id"] for cluster in clusters_of_run(emr, *_run_of(context))}
            if ids or created or not self._was_started(context):
                break
            self.log.info("No cluster of this run is there (look %d of %d)", look + 1, _LOOKS)
            time.sleep(self.poll_seconds)
        ids |= {created} if created else set()
        stay = self._interactive(emr, ids, context)
        terminate_and_wait(emr, ids - stay.keys(), self.poll_seconds)
        # What a task that was cut off had asked for may have come meanwhile.
        late = {cluster["Id"] for cluster in clusters_of_run(emr, *_run_of(context))}
        terminate_and_wait(emr, late - stay.keys(), self.poll_seconds)
        for cluster_id, until in stay.items():
            self.log.warning("Cluster %s stays for interactive use until %s", cluster_id, until)
        return stay

    def _interactive(self, emr: Any, ids: set[str], context: Context) -> dict[str, str]:
        """The clusters that may stay, and until when: none where the work failed, or EMR does not say."""
        states = self._states(context)
        if any(states.get(task_id) != "success" for task_id in self._work(context)):
            return {}
        try:
            clusters = [emr.describe_cluster(ClusterId=cluster_id)["Cluster"] for cluster_id in sorted(ids)]
            ends = {cluster["Id"]: interactive.until(emr, cluster) for cluster in clusters}
        except (ClientError, BotoCoreError) as error:
            self.log.warning("EMR does not say whether a cluster may stay, so none does: %s", error)
            return {}
        now = datetime.now(UTC)
        return {cluster_id: end.isoformat() for cluster_id, end in ends.items() if end and end > now}

    def _work(self, context: Context) -> set[str]:
        """The tasks that must have succeeded. Where no classifier was asked for, the PCA is the last step.

        Airflow skips what has yet to run of a run that is marked failed: a skipped task is no success.
        """
        before = set(self.upstream_task_ids)
        if context["params"].get("classifier") == NO_CLASSIFIER and WAIT_FOR_TRAIN in before:
            before = before - {WAIT_FOR_TRAIN} | {WAIT_FOR_PCA}
        return before

    def _was_started(self, context: Context) -> bool:
        """Whether create_cluster got as far as asking EMR for a cluster, or may have."""
        return self._states(context).get(CREATE_CLUSTER) not in _NEVER_RAN

    def _states(self, context: Context) -> dict[str, Any]:
        run_id = context["run_id"]
        states = context["ti"].get_task_states(context["dag"].dag_id, run_ids=[run_id])
        return dict(states.get(run_id, {}))
