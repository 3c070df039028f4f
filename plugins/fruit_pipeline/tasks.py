"""The DAG's own tasks: each fetches clients and parameters, and leaves the work to one module.

Their docstrings are what Airflow's UI shows beside the task: what it does, and what to do when
it fails.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from fruit_contract.layout import RunLayout, artifact_key, run_key
from fruit_contract.model import model_file
from fruit_contract.report import ClusterFacts, ExpectedSizing
from fruit_pipeline import (
    artifacts,
    billing,
    encryption,
    fleets,
    guards,
    history,
    publication,
    reaper,
    reporting,
    sizing,
    spending,
    steps,
    timing,
)
from fruit_pipeline.clients import check_residency, client
from fruit_pipeline.cluster import job_flow
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.identity import RunIdError, check_run_id
from fruit_pipeline.invoice import total_usd
from fruit_pipeline.live_prices import CLIENT_CONFIG, PRICING_REGION, read_prices
from fruit_pipeline.operators import CREATE_TASK_ID
from fruit_pipeline.parameters import DEFAULT_WORKER_TYPE, Fleet, ParameterError, RunParameters
from fruit_pipeline.planned import Planned
from fruit_pipeline.prices import PriceError
from fruit_pipeline.regions import EU_REGIONS, ResidencyError
from fruit_pipeline.releases import ships_python

STEP_SENSORS = {steps.FEATURIZE: "wait_for_featurize", steps.REDUCE: "wait_for_pca"}
"""Which task of the DAG waits for which step."""

log = logging.getLogger(__name__)


def _price_clients(region: str) -> tuple[Any, Any]:
    """Clients of the price list, which the EU has in one region, and of EC2, which has the Spot prices."""
    return client("pricing", PRICING_REGION, CLIENT_CONFIG), client("ec2", region, CLIENT_CONFIG)


def _parameters() -> RunParameters:
    """The run's parameters; a wrong one fails the task at once, for no retry would mend it."""
    try:
        return RunParameters.checked(dict(get_current_context()["params"]))
    except ParameterError as error:
        raise AirflowFailException(str(error)) from error


def _clusters_so_far(emr: Any, deployment: Deployment, known: str | None = None) -> list[ClusterFacts]:
    context = get_current_context()
    return history.clusters_so_far(
        emr,
        deployment.installation,
        context["dag"].dag_id,
        context["run_id"],
        context["dag_run"].run_after,
        known,
    )


def _layout(parameters: RunParameters, planned: Planned) -> RunLayout:
    return RunLayout(parameters.bucket, planned["run_key"])


def plan() -> Planned:
    """
    Lists the photos under `input_prefix`, compares them with those of the current result, and writes
    the run's work list to S3 as Parquet, once it is sure that the run stays in the EU and that the
    bucket lets nobody in without TLS.

    **When it fails:** the message names the parameter, the bucket, the address or the prefix that is wrong.
    Nothing was created; correct it and trigger a new run.
    """
    from fruit_pipeline import planning  # pyarrow is slow to import, so not at parse

    context, parameters, deployment = get_current_context(), _parameters(), Deployment()
    try:
        check_run_id(context["run_id"])
    except RunIdError as error:
        raise AirflowFailException(str(error)) from error
    artifacts_are = f"s3://{parameters.bucket}/{artifact_key('', '')}"
    # The fleet is chosen from what is found here; where the request reaches to does not depend on it.
    some = parameters.with_fleet(Fleet(DEFAULT_WORKER_TYPE, 1))
    request = job_flow(some, deployment, artifacts_are, context["dag"].dag_id, context["run_id"])
    try:
        check_residency(parameters.region, parameters.bucket, request, parameters.inventory)
        s3 = client("s3", parameters.region)
        encryption.check_bucket(s3, parameters.bucket)
        planned = planning.plan(s3, parameters, deployment, run_key(context["run_id"]))
    except (
        guards.GuardError,
        ResidencyError,
        encryption.EncryptionError,
        artifacts.MissingArtifactError,
    ) as error:
        raise AirflowFailException(str(error)) from error
    log.info(planned["summary"])
    return planned


def check_guards(planned: Planned) -> dict[str, Any]:
    """
    Ends the run here, green and without a cluster, when nothing is new. Else it chooses the workers
    where `workers=auto`, and refuses the run before anything costs money: worst-case cost, with what
    earlier clusters of the run have cost, above `budget_eur`; a run that starts by itself above the
    month's ceiling, a missing role, or no security configuration where one is required. Returns the
    worst and the expected cost in EUR, and the fleet with the arithmetic of its time.

    **When it fails:** the message shows the sum, the nearest fleet, or the role, and what to change.
    """
    if planned["nothing_new"]:
        log.info(planned["summary"])
        return {}
    asked, deployment, now = _parameters(), Deployment(), datetime.now(UTC)
    types = sizing.types_to_price(asked)
    try:
        guards.check_roles(client("iam", asked.region), deployment)
        guards.check_security_configuration(deployment)
        price_clients = _price_clients(asked.region)
        prices = read_prices(asked.region, types, *price_clients, now)
        before = _clusters_so_far(client("emr", asked.region), deployment)
        spent = total_usd(billing.bill(before, asked.model_dump(), planned, *price_clients, now)[0])
        workload = billing.workload_of(planned, spent)
        for warning in billing.warnings(prices, deployment, now.date()):
            log.warning(warning)
        parameters = sizing.choose(asked, workload, prices, deployment.usd_per_eur)
        found = guards.check_budget(parameters, deployment, workload, prices)
        for warning in filter(None, (sizing.warning(parameters, workload), fleets.warning(parameters))):
            log.warning(warning)
        estimated = billing.in_eur(found, deployment)
        log.info(
            "At worst %.2f EUR, expected %.2f EUR for %.2f hours; prices: %s of %s.",
            *estimated.values(),
            found.expected_hours,
            prices.source,
            prices.date,
        )
        _check_month(parameters, planned, deployment, estimated["estimate"], now)
    except (guards.GuardError, PriceError, sizing.SizingError, spending.MonthlyBudgetError) as error:
        raise AirflowFailException(str(error)) from error
    fleet = sizing.as_expected(asked, parameters, workload)
    log.info("%s %s", "Chosen:" if fleet["automatic"] else "Given:", fleet["arithmetic"])
    return {**estimated, "sizing": fleet}


def _check_month(
    parameters: RunParameters, planned: Planned, deployment: Deployment, worst_eur: float, now: datetime
) -> None:
    """The month's ceiling, for a run that no person has asked for."""
    run_type = get_current_context()["dag_run"].run_type.value
    if run_type in spending.UNATTENDED:
        s3, own = client("s3", parameters.region), _layout(parameters, planned).report
        month = spending.month_so_far(s3, parameters.bucket, now, but=own)
        log.info("This month has cost %s so far.", month.words())
        spending.check_month(run_type, month, worst_eur, deployment.monthly_budget_eur)


def publish_artifacts(guarded: dict[str, Any], planned: Planned) -> dict[str, Any]:
    """
    Uploads code, model and runtime under keys made of their content (once), and describes the
    cluster and its steps.

    **When it fails:** an artifact was not built (the message names the command that builds it), or the
    bucket refuses writes. No cluster exists yet; clear this task once that is mended.
    """
    context, deployment = get_current_context(), Deployment()
    parameters = _parameters().with_fleet(Fleet(**guarded["sizing"]["chosen"]))
    try:
        uris = artifacts.publish(
            client("s3", parameters.region),
            parameters.bucket,
            deployment.code_dir,
            deployment.model_dir,
            model_file(parameters.engine, parameters.precision),
            deployment.runtime_archive,
            deployment.python_archive if ships_python(parameters.release_label) else None,
        )
    except artifacts.MissingArtifactError as error:
        raise AirflowFailException(str(error)) from error
    layout = _layout(parameters, planned)
    return {
        "job_flow": job_flow(
            parameters, deployment, uris.hard_lifetime, context["dag"].dag_id, context["run_id"]
        ),
        "featurize_step": steps.featurize_step(parameters, layout, uris, planned),
        "pca_step": steps.reduce_step(parameters, layout, uris, planned),
    }


def verify(planned: Planned) -> dict[str, int]:
    """
    Reads what the steps wrote: row counts add up, every vector has `components` finite values, every
    live photo of the manifest has one row, the variance is at or above the minimum; and that it all
    lies encrypted.

    **When it fails:** the message gives the figures. The old result stays current.
    """
    from fruit_pipeline import verification  # pyarrow is slow to import, so not at parse

    parameters = _parameters()
    layout, s3 = _layout(parameters, planned), client("s3", parameters.region)
    featurized, reduced = _metrics(s3, layout, planned)
    if reduced is None or (featurized is None and _has_work(planned)):
        raise AirflowFailException(
            f"The steps left no metrics under {layout.uri(layout.reports)}: see their logs, then run again."
        )
    cluster_id = get_current_context()["ti"].xcom_pull(task_ids=CREATE_TASK_ID)
    seen = encryption.seen(s3, client("emr", parameters.region), layout, cluster_id)
    try:
        encryption.check(layout.bucket, seen, Deployment())
        return verification.verify(s3, layout, parameters, planned, featurized, reduced)
    except (verification.VerificationError, encryption.EncryptionError) as error:
        raise AirflowFailException(str(error)) from error


def _has_work(planned: Planned) -> bool:
    return planned["new"] + planned["changed"] > 0


def _metrics(s3: Any, layout: RunLayout, planned: Planned | None) -> tuple[Any | None, Any | None]:
    """What the two steps left, as far as they were to run."""
    featurized = publication.read_json(s3, layout.bucket, layout.featurize_metrics)
    reduced = publication.read_json(s3, layout.bucket, layout.reduce_metrics)
    return featurized if planned and _has_work(planned) else None, reduced if planned else None


def publish(planned: Planned) -> dict[str, Any]:
    """
    Moves `Results/pca_output/_latest.json` to this run's result, if it still is what `plan` read.

    **When it fails:** the bucket refused the write: clear this task. Or another result has become
    current since this run was planned: trigger a new run. The current result stays as it is.
    """
    parameters = _parameters()
    layout, s3 = _layout(parameters, planned), client("s3", parameters.region)
    featurized, reduced = _metrics(s3, layout, planned)
    model = featurized["model"] if featurized else planned["base"] and planned["base"]["model"]
    if model is None or reduced is None:
        raise AirflowFailException(
            f"The metrics of the run are gone from {layout.uri(layout.reports)} since they were verified: "
            "trigger a new run."
        )
    pointer = publication.pointer_to(
        layout, get_current_context()["run_id"], planned["features"], model, reduced
    )
    try:
        return publication.move_pointer(s3, layout.bucket, pointer, planned["pointer_etag"])
    except publication.PublicationError as error:
        raise AirflowFailException(str(error)) from error


def clean() -> dict[str, Any]:
    """
    Removes what the results of the last `FRUITS_KEEP_RUNS` published runs do not refer to, or, with
    `clean_dry_run`, says what it would remove. Reports stay.

    **When it fails:** the new result is current all the same. Clear this task, or run
    `python -m fruit_pipeline clean`.
    """
    from fruit_pipeline import garbage  # pyarrow is slow to import, so not at parse

    parameters, deployment = _parameters(), Deployment()
    done = garbage.collect(
        client("s3", parameters.region),
        parameters.bucket,
        deployment.keep_runs,
        dry_run=parameters.clean_dry_run,
    )
    log.info("%s%s.", done, " (dry run)" if parameters.clean_dry_run else "")
    return {"removed": done.removed, "objects": done.objects, "bytes": done.bytes}


def report(planned: Planned | None, guarded: dict[str, Any] | None) -> str:
    """
    Writes `report.json`, for failed runs too, and is the verdict of the run: it fails when any
    task before it has.

    **When it fails:** read its message; it names the task to look at.
    """
    context = get_current_context()
    fleet: ExpectedSizing | None = guarded["sizing"] if guarded else None
    values = reporting.planned_parameters(context["params"], fleet)
    region = str(values["region"])
    layout = RunLayout(str(values["bucket"]), planned["run_key"] if planned else run_key(context["run_id"]))
    try:
        check_residency(region, layout.bucket)
    except ResidencyError as error:
        raise AirflowFailException(f"{error} No report is written there.") from error
    s3, emr = client("s3", region), client("emr", region)
    ti, dag, run_started = context["ti"], context["dag"], context["dag_run"].start_date
    ended = list(ti.get_task_breadcrumbs(dag.dag_id, context["run_id"]))
    upstream = {task.task_id: task.upstream_task_ids for task in dag.topological_sort()}
    started = timing.starts(ti, list(upstream))
    featurized, reduced = _metrics(s3, layout, planned)
    deployment = Deployment()
    clusters = _clusters_so_far(emr, deployment, ti.xcom_pull(task_ids=CREATE_TASK_ID))
    cluster = clusters[-1] if clusters else reporting.NO_CLUSTER
    steps_seen = reporting.cluster_steps(emr, cluster["id"])
    pricing, ec2 = _price_clients(region)
    cost = billing.cost_of(
        clusters,
        values,
        planned,
        deployment,
        estimated=guarded,
        run_key=run_key(context["run_id"]),  # as the cluster is tagged, which the results need not be
        started_at=run_started,
        pricing=pricing,
        ec2=ec2,
        now=datetime.now(UTC),
    )
    document = reporting.build_report(
        run_id=context["run_id"],
        started_at=run_started,
        parameters=values,
        tasks=timing.task_times(ended, started, upstream, run_started),
        timing=timing.run_timing(cluster, steps_seen, ended, started, run_started, STEP_SENSORS),
        sizing=fleet,
        planned=planned,
        featurized=featurized,
        reduced=reduced,
        cluster=cluster,
        clusters=clusters,
        cost=cost,
        encryption=encryption.seen(s3, emr, layout, cluster["id"]),
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
        ((region, client("emr", region)) for region in EU_REGIONS),
        Deployment().installation,
        datetime.now(UTC),
        is_alive,
        dry_run,
    )
    log.info("%s%s.", done, " (dry run)" if dry_run else "")
    if done.failed:
        raise RuntimeError("; ".join(f"{what}: {error}" for what, error in done.failed.items()))
    return {"seen": [str(finding) for finding in done.findings], "terminated": done.terminated}
