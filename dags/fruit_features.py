"""Photos in a bucket to features for robots and phones: one Spot EMR cluster a run."""

from datetime import timedelta

from airflow.sdk import DAG, TriggerRule, task

from fruit_pipeline import clients, drop_assets, origin, parameters, retries, runbook, tasks, timing
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.operators import (
    AddStepOperator,
    ClusterReadySensor,
    CreateClusterOperator,
    StepSensor,
    TerminateClusterOperator,
)

DEPLOYMENT = Deployment()
AWS = {
    "aws_conn_id": DEPLOYMENT.aws_conn_id,
    "region_name": "{{ params.region }}",
    "botocore_config": retries.PATIENT,
}
POLL = DEPLOYMENT.poll_seconds
NOTES = [clients.mask_account, timing.note_start]

with DAG(
    dag_id="fruit_features",
    description="Photos to MobileNetV2 features to principal components, on a Spot EMR cluster.",
    doc_md="""
Turns the photos under `s3://<bucket>/<input_prefix>` into a table of principal components.

It lists the photos, creates a Spot EMR cluster, runs the steps **featurize** (MobileNetV2, 1,280
features a photo, of the photos that are new or changed) and **PCA** (of all), checks the result, makes
it current, writes a report, and terminates the cluster in every case. Where nothing is new, it ends
after `guards`, without a cluster. Read the current result through `Results/pca_output/_latest.json`.

**When a run is red:** `report` names the task that failed; that task's documentation says what to
do. The result of the last green run stays current. Trigger a new run once the cause is mended.
""",
    # No start_date: with one, Airflow would make up for the last time of the schedule when first unpaused.
    schedule=drop_assets.schedule(DEPLOYMENT),
    catchup=False,
    max_active_runs=1,
    params=parameters.form(),
    render_template_as_native_obj=True,
    # Every task can be repeated, and does no harm twice. What no repetition would mend fails at once.
    default_args={
        "owner": "fruits",
        "execution_timeout": timedelta(minutes=DEPLOYMENT.task_minutes),
        "retries": 2,
        "retry_delay": timedelta(seconds=POLL),
        "on_execute_callback": NOTES,
    },
    tags=["fruits", "emr"],
) as dag:
    plan = task(multiple_outputs=False, on_execute_callback=[*NOTES, origin.note_origin])(tasks.plan)()
    # Returns nothing where nothing is new: then all that follows is skipped, but for the teardowns.
    guards = task.short_circuit(task_id="guards", multiple_outputs=False)(tasks.check_guards)(plan)
    publish_artifacts = task(tasks.publish_artifacts)(guards, plan)

    create_cluster = CreateClusterOperator(
        task_id="create_cluster",
        job_flow_overrides=publish_artifacts["job_flow"],
        poll_seconds=POLL,
        doc_md=runbook.CREATE_CLUSTER,
        **AWS,
    )
    wait_for_cluster = ClusterReadySensor(
        task_id="wait_for_cluster",
        job_flow_id=create_cluster.output,
        poke_interval=POLL,
        doc_md=runbook.WAIT_FOR_CLUSTER,
        **AWS,
    )
    add_featurize_step = AddStepOperator(
        task_id="add_featurize_step",
        job_flow_id=create_cluster.output,
        step=publish_artifacts["featurize_step"],
        poll_seconds=POLL,
        doc_md=runbook.ADD_FEATURIZE_STEP,
        **AWS,
    )
    wait_for_featurize = StepSensor(
        task_id="wait_for_featurize",
        job_flow_id=create_cluster.output,
        step_id=add_featurize_step.output,
        poke_interval=POLL,
        doc_md=runbook.WAIT_FOR_FEATURIZE,
        **AWS,
    )
    add_pca_step = AddStepOperator(
        task_id="add_pca_step",
        # As templates, for Airflow lets nothing with another rule than all_success come right after a setup.
        job_flow_id="{{ ti.xcom_pull(task_ids='create_cluster') }}",
        step="{{ ti.xcom_pull(task_ids='publish_artifacts', key='pca_step') }}",
        poll_seconds=POLL,
        # Runs when featurize was skipped, for there was nothing new, but not when it has failed.
        trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        doc_md=runbook.ADD_PCA_STEP,
        **AWS,
    )
    wait_for_pca = StepSensor(
        task_id="wait_for_pca",
        job_flow_id=create_cluster.output,
        step_id=add_pca_step.output,
        poke_interval=POLL,
        doc_md=runbook.WAIT_FOR_PCA,
        **AWS,
    )
    terminate_cluster = TerminateClusterOperator(
        task_id="terminate_cluster",
        poll_seconds=POLL,
        doc_md=runbook.TERMINATE_CLUSTER,
        retries=5,
        # It waits for EMR in the worker, and is the last to be cut off.
        execution_timeout=timedelta(minutes=2 * DEPLOYMENT.task_minutes),
        **AWS,
    )
    verify = task(tasks.verify)(plan)
    publish = task(multiple_outputs=False)(tasks.publish)(plan)
    clean = task(multiple_outputs=False)(tasks.clean)()
    report = task(tasks.report)(plan, guards)

    plan >> guards >> publish_artifacts >> create_cluster >> wait_for_cluster
    wait_for_cluster >> add_featurize_step >> wait_for_featurize >> add_pca_step >> wait_for_pca
    wait_for_cluster >> add_pca_step
    # Two setups, for a teardown runs only when one of them succeeded: were create_cluster the only
    # one, a RunJobFlow whose answer was lost would leave its cluster to nobody.
    publish_artifacts.operator.as_setup()
    wait_for_pca >> terminate_cluster.as_teardown(
        setups=[publish_artifacts.operator, create_cluster], on_failure_fail_dagrun=True
    )
    # verify needs no cluster: outside the teardown's scope, clearing it does not create one.
    wait_for_pca >> verify >> publish >> clean >> report
    terminate_cluster >> report
    # As a teardown, for whoever marks a run failed has Airflow skip everything but teardowns: the last
    # leaf would be skipped, and the run turn green.
    report.operator.as_teardown(on_failure_fail_dagrun=True)
