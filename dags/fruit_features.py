"""Photos in a bucket to features for robots and phones: one Spot EMR cluster a run."""

from datetime import timedelta

from airflow.sdk import DAG, TaskGroup, TriggerRule, task

from fruit_contract.layout import DAG_ID
from fruit_pipeline.aws import clients, retries
from fruit_pipeline.dag import failures, red_run, runbook, started_by, tasks
from fruit_pipeline.dag.operators import (
    AddStepOperator,
    ClusterReadySensor,
    CreateClusterOperator,
    StepSensor,
    TerminateClusterOperator,
)
from fruit_pipeline.drops import drop_assets
from fruit_pipeline.results import timing
from fruit_pipeline.settings import parameters
from fruit_pipeline.settings.deployment import Deployment

DEPLOYMENT = Deployment()
AWS = {
    "aws_conn_id": DEPLOYMENT.aws_conn_id,
    "region_name": "{{ params.region }}",
    "botocore_config": retries.REPEATED,
}
POLL = DEPLOYMENT.poll_seconds
NOTES = [failures.log_plainly, clients.mask_account, timing.note_start]
# Spot may take it, and another come in its place, which each task finds by its tag.
CREATED = "{{ ti.xcom_pull(task_ids='create_cluster') }}"


def group(group_id: str, tooltip: str) -> TaskGroup:
    """A box in the graph. Its tasks keep their short ids."""
    return TaskGroup(group_id, prefix_group_id=False, tooltip=tooltip)


def has_step(task_id: str) -> str:
    """The cluster that a task has added its step to."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}', key='cluster_id') }}}}"


def described(name: str) -> str:
    """A part of what ``publish_artifacts`` returns. A template adds no edge to the graph."""
    return f"{{{{ ti.xcom_pull(task_ids='publish_artifacts', key='{name}') }}}}"


with DAG(
    dag_id=DAG_ID,
    description="Photos to MobileNetV2 features to principal components, on a Spot EMR cluster.",
    doc_md="""
Turns the photos under `s3://<bucket>/<input_prefix>` into a table of principal components.

It lists the photos and creates a Spot EMR cluster. The step **featurize** computes 1,280 MobileNetV2
features of each new or changed photo, and the step **PCA** reduces those of all photos. The step **train**
learns their labels. Then the run checks the result, makes it current, writes a report, and ends the cluster
in every case. If nothing is new, it ends after `guards`, without a cluster. Read the current result through
`Results/latest.json`.

**When a run is red:** the note on the run says why; the documentation of the task that it names says what
to do. The result of the last green run stays current. Fix the cause, then trigger a new run.
""",
    # No start_date: with one, Airflow would make up for the last time of the schedule when first unpaused.
    schedule=drop_assets.schedule(DEPLOYMENT),
    catchup=False,
    max_active_runs=1,
    params=parameters.form(),
    on_failure_callback=red_run.tell if DEPLOYMENT.notify else None,
    render_template_as_native_obj=True,
    # Every task can be repeated, and does no harm twice. What no repetition would mend fails at once.
    default_args={
        "owner": "fruits",
        "execution_timeout": timedelta(minutes=DEPLOYMENT.task_minutes),
        "retries": 2,
        "retry_delay": timedelta(seconds=POLL),
        "on_execute_callback": NOTES,
        "on_failure_callback": failures.note_failure,
    },
    tags=["fruits", "emr"],
) as dag:
    with group("prepare", "What to do, whether it may cost that much, and what it needs on S3."):
        plan = task(
            multiple_outputs=False,
            execution_timeout=timedelta(minutes=DEPLOYMENT.plan_minutes),
            on_execute_callback=[*NOTES, started_by.note_started_by],
        )(tasks.plan)()
        # Returns nothing where nothing is new: then all that follows is skipped, but for the teardowns.
        guards = task.short_circuit(task_id="guards", multiple_outputs=False)(tasks.check_guards)()
        publish_artifacts = task(multiple_outputs=True)(tasks.publish_artifacts)()

    with group("cluster", "One Spot EMR cluster, three Spark steps, and its end in every case."):
        create_cluster = CreateClusterOperator(
            task_id="create_cluster",
            job_flow_overrides=described("job_flow"),
            poll_seconds=POLL,
            doc_md=runbook.CREATE_CLUSTER,
            **AWS,
        )
        wait_for_cluster = ClusterReadySensor(
            task_id="wait_for_cluster",
            job_flow_id=CREATED,
            poke_interval=POLL,
            doc_md=runbook.WAIT_FOR_CLUSTER,
            **AWS,
        )
        add_featurize_step = AddStepOperator(
            task_id="add_featurize_step",
            job_flow_id=CREATED,
            step=described("featurize_step"),
            poll_seconds=POLL,
            doc_md=runbook.ADD_FEATURIZE_STEP,
            **AWS,
        )
        wait_for_featurize = StepSensor(
            task_id="wait_for_featurize",
            job_flow_id=has_step("add_featurize_step"),
            step_id=add_featurize_step.output,
            step=described("featurize_step"),
            poke_interval=POLL,
            doc_md=runbook.WAIT_FOR_FEATURIZE,
            **AWS,
        )
        add_pca_step = AddStepOperator(
            task_id="add_pca_step",
            job_flow_id=CREATED,
            step=described("pca_step"),
            poll_seconds=POLL,
            # Runs when featurize was skipped, as it is where no photo is new, but not when it has failed.
            trigger_rule=TriggerRule.NONE_FAILED,
            doc_md=runbook.ADD_PCA_STEP,
            **AWS,
        )
        wait_for_pca = StepSensor(
            task_id="wait_for_pca",
            job_flow_id=has_step("add_pca_step"),
            step_id=add_pca_step.output,
            step=described("pca_step"),
            poke_interval=POLL,
            doc_md=runbook.WAIT_FOR_PCA,
            **AWS,
        )
        add_train_step = AddStepOperator(
            task_id="add_train_step",
            job_flow_id=CREATED,
            step=described("train_step"),
            poll_seconds=POLL,
            doc_md=runbook.ADD_TRAIN_STEP,
            **AWS,
        )
        wait_for_train = StepSensor(
            task_id="wait_for_train",
            job_flow_id=has_step("add_train_step"),
            step_id=add_train_step.output,
            step=described("train_step"),
            poke_interval=POLL,
            doc_md=runbook.WAIT_FOR_TRAIN,
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

    with group("results", "Checked, made current, and reported, failed runs too."):
        # Runs when train was skipped, as it is without a classifier, but not when a step has failed.
        verify = task(multiple_outputs=False, trigger_rule=TriggerRule.NONE_FAILED)(tasks.verify)()
        publish = task(multiple_outputs=False)(tasks.publish)()
        clean = task(multiple_outputs=False)(tasks.clean)()
        report = task(tasks.report)()

    plan >> guards >> publish_artifacts >> create_cluster >> wait_for_cluster
    wait_for_cluster >> add_featurize_step >> wait_for_featurize >> add_pca_step >> wait_for_pca
    wait_for_pca >> add_train_step >> wait_for_train
    # Two setups, because a teardown runs only when one of them succeeded: were create_cluster the only
    # one, a RunJobFlow whose answer was lost would leave its cluster to nobody.
    publish_artifacts.operator.as_setup()
    wait_for_train >> terminate_cluster.as_teardown(
        setups=[publish_artifacts.operator, create_cluster], on_failure_fail_dagrun=True
    )
    # verify needs no cluster: outside the teardown's scope, clearing it does not create one.
    wait_for_train >> verify >> publish >> clean >> report
    terminate_cluster >> report
    # As a teardown, because Airflow skips everything but teardowns when a run is marked failed: the last
    # leaf would be skipped, and the run turn green.
    report.operator.as_teardown(on_failure_fail_dagrun=True)
