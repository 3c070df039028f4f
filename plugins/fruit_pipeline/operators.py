"""The provider's EMR operators and sensors, subclassed only where they leak or mislead.

Read in apache-airflow-providers-amazon 9.39.0; each class says what it changes and why.
"""

import math
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from airflow.providers.amazon.aws.operators.emr import (
    EmrAddStepsOperator,
    EmrCreateJobFlowOperator,
    EmrTerminateJobFlowOperator,
)
from airflow.providers.amazon.aws.sensors.emr import EmrBaseSensor, EmrJobFlowSensor, EmrStepSensor
from airflow.providers.amazon.aws.triggers.emr import EmrCreateJobFlowTrigger
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferralError

from fruit_pipeline import clients
from fruit_pipeline.identity import ENDED_STATES, clusters_of_run
from fruit_pipeline.regions import ResidencyError

CREATE_TASK_ID: Final = "create_cluster"
_ADOPTABLE_STEPS: Final = ("PENDING", "RUNNING", "COMPLETED")


def _run_of(context: Context) -> tuple[str, str]:
    return context["dag"].dag_id, context["run_id"]


def _attempts(context: Context, poll_seconds: float) -> int:
    """How often a sensor may ask: nothing is waited for longer than the cluster may live."""
    return max(1, math.ceil(float(context["params"]["max_hours"]) * 3600 / poll_seconds))


class CreateClusterOperator(EmrCreateJobFlowOperator):
    """RunJobFlow, once a DAG run: a retry, or a cleared task, adopts the cluster that is there.

    RunJobFlow has no client token, and its answer can be lost after it took effect. Returns the
    cluster's id at once; waiting is another task, so that this one cannot time out halfway.
    """

    def __init__(self, **kwargs: Any) -> None:
        # emr_conn_id=None: the extras of emr_default would be merged into the request, shallowly.
        super().__init__(emr_conn_id=None, deferrable=False, wait_for_completion=False, **kwargs)

    def execute(self, context: Context) -> str:
        for cluster in clusters_of_run(self.hook.conn, *_run_of(context)):
            if cluster["Status"]["State"] != "TERMINATING":
                self.log.info(
                    "Adopting cluster %s of this run, in state %s", cluster["Id"], cluster["Status"]["State"]
                )
                return str(cluster["Id"])
        return str(super().execute(context))

    def on_kill(self) -> None:
        """Leave the cluster to the run's teardown: a killed task may be retried, and then adopts it."""


class _SaysWhy(EmrBaseSensor):
    """When its trigger is done or gives up, the sensor asks EMR once more and goes by that answer.

    What a trigger reports is a waiter's words around EMR's; asking raises EMR's own reason alone.
    """

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> None:
        if not self.poke(context):
            raise AirflowException(f"EMR has not got there in max_hours or the trigger has failed: {event}")

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralError:
            self.poke(context)
            raise


class ClusterReadySensor(_SaysWhy, EmrJobFlowSensor):
    """Waits until the cluster runs or waits for steps.

    The provider's deferrable sensor waits for TERMINATED whatever its target states are. The
    waiter used here takes TERMINATED for success, which asking once more puts right.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            target_states=["RUNNING", "WAITING"],
            failed_states=["TERMINATING", *ENDED_STATES],
            deferrable=True,
            **kwargs,
        )

    def execute(self, context: Context) -> None:
        if self.poke(context):
            return
        self.max_attempts = _attempts(context, self.poke_interval)
        self.defer(
            timeout=timedelta(seconds=self.poke_interval * self.max_attempts),
            trigger=EmrCreateJobFlowTrigger(
                job_flow_id=self.job_flow_id,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
                waiter_delay=int(self.poke_interval),
                waiter_max_attempts=self.max_attempts,
                waiter_name="job_flow_waiting",
            ),
            method_name="execute_complete",
        )


class AddStepOperator(EmrAddStepsOperator):
    """Adds one step and returns its id; a retry adopts the step that an earlier attempt added.

    Before that it asks once more whether everything the step would touch lies in the EU.
    """

    def __init__(self, *, step: Any, **kwargs: Any) -> None:
        super().__init__(steps=[step], deferrable=False, wait_for_completion=False, **kwargs)

    def execute(self, context: Context) -> str:
        (step,) = self.steps
        self._check_residency(context, step)
        pages = self.hook.conn.get_paginator("list_steps").paginate(
            ClusterId=self.job_flow_id, StepStates=list(_ADOPTABLE_STEPS)
        )
        for summary in (summary for page in pages for summary in page["Steps"]):
            if summary["Name"] == step["Name"]:
                self.log.info("Adopting step %s, in state %s", summary["Id"], summary["Status"]["State"])
                return str(summary["Id"])
        return str(super().execute(context)[0])

    def _check_residency(self, context: Context, step: Any) -> None:
        try:
            emr = clients.client("emr", self.region_name)
            cluster = emr.describe_cluster(ClusterId=self.job_flow_id)["Cluster"]
            clients.check_residency(self.region_name, context["params"]["bucket"], cluster, step)
        except ResidencyError as error:
            raise AirflowFailException(str(error)) from error


class StepSensor(_SaysWhy, EmrStepSensor):
    """Waits for one step, and on failure says the reason and the log file that EMR gives."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(deferrable=True, **kwargs)

    def execute(self, context: Context) -> None:
        self.max_attempts = _attempts(context, self.poke_interval)
        super().execute(context)


class TerminateClusterOperator(EmrTerminateJobFlowOperator):
    """Ends every cluster of the run, and is done only when EMR says that they have ended.

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

    def execute(self, context: Context) -> None:
        emr = self.hook.conn
        ids = {cluster["Id"] for cluster in clusters_of_run(emr, *_run_of(context))}
        if created := context["ti"].xcom_pull(task_ids=CREATE_TASK_ID):
            ids.add(created)
        for cluster_id in sorted(ids):
            self._terminate(emr, cluster_id)
        for cluster_id in sorted(ids):
            self._wait_until_ended(emr, cluster_id)

    def _terminate(self, emr: Any, cluster_id: str) -> None:
        cluster = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
        if cluster["Status"]["State"] in ENDED_STATES:
            return
        if cluster.get("TerminationProtected"):
            self.log.warning("Cluster %s is protected from termination: lifting the protection", cluster_id)
            emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
        self.log.info("Asked EMR to terminate cluster %s", cluster_id)

    def _wait_until_ended(self, emr: Any, cluster_id: str) -> None:
        while (
            state := emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]
        ) not in ENDED_STATES:
            self.log.info("Cluster %s is %s", cluster_id, state)
            time.sleep(self.poll_seconds)
        self.log.info("Cluster %s is %s", cluster_id, state)
