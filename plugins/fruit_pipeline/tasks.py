"""The DAG's own tasks: each fetches clients and parameters, and leaves the work to one module.

Their docstrings are what Airflow's UI shows beside the task: what it does, and what to do when
it fails.
"""

from datetime import UTC, datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.base_aws import AwsBaseHook
from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from fruit_contract.layout import RunLayout, run_key
from fruit_contract.model import model_file
from fruit_pipeline import artifacts, guards, publication, reaper, reporting, retries, steps
from fruit_pipeline.cluster import job_flow
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.operators import CREATE_TASK_ID
from fruit_pipeline.parameters import ParameterError, RunParameters
from fruit_pipeline.regions import EU_REGIONS


def _client(service: str, region: str) -> Any:
    return AwsBaseHook(
        aws_conn_id=Deployment().aws_conn_id,
        client_type=service,
        region_name=region,
        config=retries.PATIENT,
    ).get_conn()


def _parameters() -> RunParameters:
    """The run's parameters; a wrong one fails the task at once, for no retry would mend it."""
    try:
        return RunParameters.checked(dict(get_current_context()["params"]))
    except ParameterError as error:
        raise AirflowFailException(str(error)) from error


def _layout(parameters: RunParameters) -> RunLayout:
    return RunLayout(parameters.bucket, run_key(get_current_context()["run_id"]))


def plan() -> dict[str, int]:
    """
    Lists the photos under `input_prefix` and writes the run's work list to S3 as Parquet.

    **When it fails:** the message names the parameter, the bucket or the prefix that is wrong.
    Nothing was created; correct it and trigger a new run.
    """
    from fruit_pipeline.work_list import write_work_list  # pyarrow is slow to import, so not at parse

    parameters = _parameters()
    s3 = _client("s3", parameters.region)
    try:
        guards.check_residency(s3, parameters.bucket, parameters.region)
        listing = write_work_list(s3, _layout(parameters), parameters.input_prefix)
        guards.check_enough_images(listing.images, parameters)
    except guards.GuardError as error:
        raise AirflowFailException(str(error)) from error
    return {"images": listing.images, "bytes": listing.image_bytes, "ignored": listing.ignored}


def check_guards() -> float:
    """
    Refuses the run before anything costs money: worst-case cost above `budget_eur`, or a missing
    role. Returns the worst case in EUR.

    **When it fails:** the message shows the sum, or the role, and what to change.
    """
    parameters, deployment = _parameters(), Deployment()
    try:
        guards.check_roles(_client("iam", parameters.region), deployment)
        return guards.check_budget(parameters, deployment)
    except guards.GuardError as error:
        raise AirflowFailException(str(error)) from error


def publish_artifacts() -> dict[str, Any]:
    """
    Uploads code, model and runtime under keys made of their content (once), and describes the
    cluster and its steps.

    **When it fails:** an artifact was not built (`make setup`), or the bucket refuses writes.
    No cluster exists yet; clear this task once that is mended.
    """
    context, parameters, deployment = get_current_context(), _parameters(), Deployment()
    try:
        uris = artifacts.publish(
            _client("s3", parameters.region),
            parameters.bucket,
            deployment.code_dir,
            deployment.model_dir,
            model_file(parameters.engine, parameters.precision),
            deployment.runtime_archive,
        )
    except artifacts.MissingArtifactError as error:
        raise AirflowFailException(str(error)) from error
    layout = _layout(parameters)
    return {
        "job_flow": job_flow(
            parameters, deployment, uris.hard_lifetime, context["dag"].dag_id, context["run_id"]
        ),
        "featurize_step": steps.featurize_step(parameters, layout, uris),
        "pca_step": steps.reduce_step(parameters, layout, uris),
    }


def verify(planned: dict[str, int]) -> dict[str, int]:
    """
    Reads what the steps wrote: row counts add up, every vector has `components` finite values, no
    photo stands twice, the variance is at or above the minimum.

    **When it fails:** the message gives the figures. The old result stays current.
    """
    from fruit_pipeline import verification  # pyarrow is slow to import, so not at parse

    parameters = _parameters()
    layout, s3 = _layout(parameters), _client("s3", parameters.region)
    featurized = publication.read_json(s3, layout.bucket, layout.featurize_metrics)
    reduced = publication.read_json(s3, layout.bucket, layout.reduce_metrics)
    if featurized is None or reduced is None:
        raise AirflowFailException(
            f"The steps left no metrics under {layout.uri(layout.reports)}: see their logs, then run again."
        )
    try:
        return verification.verify(s3, layout, parameters, planned["images"], featurized, reduced)
    except verification.VerificationError as error:
        raise AirflowFailException(str(error)) from error


def publish() -> dict[str, str]:
    """
    Moves `Results/pca_output/_latest.json` to this run's result.

    **When it fails:** the bucket refused the write; the old result stays current. Clear this task.
    """
    parameters = _parameters()
    layout = _layout(parameters)
    return publication.move_pointer(_client("s3", parameters.region), layout, get_current_context()["run_id"])


def report(planned: dict[str, int] | None, estimate: float | None) -> str:
    """
    Writes `report.json`, for failed runs too, and is the verdict of the run: it fails when any
    task before it has.

    **When it fails:** read its message; it names the task to look at.
    """
    context = get_current_context()
    values = reporting.planned_parameters(context["params"])
    region, layout = str(values["region"]), RunLayout(str(values["bucket"]), run_key(context["run_id"]))
    s3, emr = _client("s3", region), _client("emr", region)
    ti, dag = context["ti"], context["dag"]
    tasks = reporting.task_times(
        list(ti.get_task_breadcrumbs(dag.dag_id, context["run_id"])),
        [task.task_id for task in dag.topological_sort()],
    )
    cluster = reporting.cluster_facts(emr, ti.xcom_pull(task_ids=CREATE_TASK_ID))
    document = reporting.build_report(
        run_id=context["run_id"],
        started_at=context["dag_run"].start_date,
        parameters=values,
        tasks=tasks,
        found=planned["images"] if planned else None,
        featurized=publication.read_json(s3, layout.bucket, layout.featurize_metrics),
        reduced=publication.read_json(s3, layout.bucket, layout.reduce_metrics),
        cluster=cluster,
        cost=reporting.cost_of(cluster, values, Deployment(), estimate),
    )
    publication.write_json(s3, layout.bucket, layout.report, document)
    if document["failure"]:
        raise AirflowFailException(f"{document['failure']} The report is {layout.uri(layout.report)}.")
    return layout.uri(layout.report)


def reap() -> dict[str, Any]:
    """
    Ends the clusters of this installation that belong to no live run or are over age, in every EU region.

    **When it fails:** its message names the region or the cluster: look at it in the EMR console.
    """
    context = get_current_context()
    ti, dry_run = context["ti"], bool(context["params"]["dry_run"])

    def is_alive(dag_id: str, run_id: str) -> bool:
        return bool(ti.get_dr_count(dag_id, run_ids=[run_id], states=["queued", "running"]))

    done = reaper.sweep(
        ((region, _client("emr", region)) for region in EU_REGIONS),
        Deployment().installation,
        datetime.now(UTC),
        is_alive,
        dry_run,
    )
    print(f"{done}{' (dry run)' if dry_run else ''}.")
    if done.failed:
        raise RuntimeError("; ".join(f"{what}: {error}" for what, error in done.failed.items()))
    return {"seen": [str(finding) for finding in done.findings], "terminated": done.terminated}
