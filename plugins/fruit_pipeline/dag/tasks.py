"""The DAG's own tasks: each takes what it needs from its run, and leaves the work to one module.

Their docstrings are what Airflow's UI shows beside the task: what it does, and what to do when it fails.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context

from fruit_contract.layout import artifact_key
from fruit_contract.model_files import model_file
from fruit_contract.report_schema import Report
from fruit_pipeline.aws.clients import check_residency, client
from fruit_pipeline.cluster import artifacts, facts, identity, offers, reaper, requirements, step_requests
from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cost import billing, monthly_budget, sizing
from fruit_pipeline.cost.budget import check_budget
from fruit_pipeline.cost.invoice import total_usd
from fruit_pipeline.cost.live_prices import read_prices
from fruit_pipeline.dag import failures, red_run
from fruit_pipeline.dag.run_context import CREATE_CLUSTER, PUBLISH, WAIT_FOR_PCA, WAIT_FOR_TRAIN, RunContext
from fruit_pipeline.errors import without_retry
from fruit_pipeline.notices import messages
from fruit_pipeline.notices.telling import harmless, tell
from fruit_pipeline.results import (
    claims,
    classifiers,
    publication,
    reporting,
    run_index,
    step_metrics,
    timing,
)
from fruit_pipeline.results.run_plan import PLACE, Place, RunEstimate, RunPlan
from fruit_pipeline.results.run_record import RunRecord
from fruit_pipeline.results.step_metrics import StepMetrics
from fruit_pipeline.security import encryption
from fruit_pipeline.security.regions import EU_REGIONS
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import DEFAULT_WORKER_TYPE, Fleet
from fruit_pipeline.settings.releases import ships_python

STEP_SENSORS = {
    identity.FEATURIZE: "wait_for_featurize",
    identity.REDUCE: WAIT_FOR_PCA,
    identity.TRAIN: WAIT_FOR_TRAIN,
}
"""Which task of the DAG waits for which step."""

log = logging.getLogger(__name__)


@without_retry()
def plan() -> RunPlan:
    """
    Lists the photos under `input_prefix`, compares them with the current result, and writes the run's
    work list to S3 as Parquet. First it checks that the run stays in the EU, and that the bucket refuses
    requests without TLS.

    **When it fails:** the message names the parameter, bucket, address or prefix that is wrong, or how far
    the listing came in its time. Nothing was created. Fix it and trigger a new run.
    """
    from fruit_pipeline.photos import planner  # pyarrow is slow to import, so not at parse

    run = RunContext.current()
    run.airflow["ti"].xcom_push(PLACE, Place(bucket=run.layout.bucket, region=run.region))
    parameters = run.parameters
    identity.check_run_id(run.run_id)
    artifacts_are = f"s3://{parameters.bucket}/{artifact_key('', '')}"
    # The fleet is chosen from what is listed here; where the request reaches to does not depend on it.
    some = parameters.with_fleet(Fleet(DEFAULT_WORKER_TYPE, 1))
    request = job_flow(some, run.deployment, artifacts_are, run.dag_id, run.run_id)
    check_residency(parameters.region, parameters.bucket, request, parameters.inventory)
    encryption.check_bucket(run.s3, parameters.bucket)
    work = planner.plan(run.s3, parameters, run.deployment, run.owner, unattended=run.is_unattended)
    log.info(work["summary"])
    return work


@without_retry()
def check_guards() -> RunEstimate | None:
    """
    Ends the run here, green and without a cluster, when nothing is new. With `workers=auto` it chooses
    the workers. It refuses the run, before anything costs money, for one of these reasons:

    - The worst case, earlier clusters of the run included, costs more than `budget_eur`.
    - The run started by itself, and the month would cost more than its ceiling.
    - A role is missing, or a security configuration is required and missing.
    - EMR does not offer the release, or an instance type, in the region.

    Returns the worst and the expected cost in EUR, and the fleet with the arithmetic of its time.

    **When it fails:** the message shows the sum, the nearest fleet or type, or the role, and what to change.
    """
    run, now = RunContext.current(), datetime.now(UTC)
    if run.plan["nothing_new"]:
        log.info(run.plan["summary"])
        _tell_of_waiting(run)
        return None
    asked, deployment = run.parameters, run.deployment
    requirements.check_roles(run.client("iam"), deployment)
    requirements.check_security_configuration(deployment)
    price_clients = run.price_clients
    prices = read_prices(asked.region, sizing.types_to_price(asked), *price_clients, now)
    spent, _ = billing.bill(run.clusters(), asked.model_dump(), run.plan, *price_clients, now)
    workload = billing.workload_of(run.plan, total_usd(spent))
    parameters = sizing.choose(asked, workload, prices, deployment.usd_per_eur)
    offers.check(run.emr, parameters)
    sums = check_budget(parameters, workload, prices, deployment.usd_per_eur)
    for warning in (
        billing.rate_warning(deployment, now.date()),
        sizing.warning(parameters, workload),
    ):
        if warning:
            log.warning(warning)
    eur = billing.in_eur(sums, deployment)
    log.info(
        "At worst %.2f EUR, expected %.2f EUR for %.2f hours; prices: %s of %s.",
        *eur.values(),
        sums.expected_hours,
        prices.source,
        prices.date,
    )
    _check_month(run, eur["estimate"], now)
    fleet = sizing.as_expected(asked, parameters, workload)
    log.info("%s %s", "Chosen:" if fleet["automatic"] else "Given:", fleet["arithmetic"])
    groups = billing.groups_in_eur(sums, deployment)
    return RunEstimate(estimate=eur["estimate"], expected=eur["expected"], groups=groups, sizing=fleet)


def _tell_of_waiting(run: RunContext) -> None:
    """Tell people whose drop makes no result yet; not each night, when the regular run says the same."""
    if run.plan["waits"] and run.plan["images"] and run.run_type == monthly_budget.BY_DROP:
        where = f"s3://{run.parameters.bucket}/{run.parameters.input_prefix}"
        tell(run.airflow, messages.photos_wait(run.plan["summary"], where), "photos wait")


def _check_month(run: RunContext, worst_eur: float, now: datetime) -> None:
    """The month's ceiling, for a run that no person has asked for."""
    if run.is_unattended:
        month = monthly_budget.month_so_far(run.s3, run.layout.bucket, now, but=run.layout.report)
        log.info("This month has cost %s so far.", month.words())
        monthly_budget.check_month(run.run_type, month, worst_eur, run.deployment.monthly_budget_eur)


@without_retry()
def publish_artifacts() -> dict[str, Any]:
    """
    Uploads code, model and runtime under keys made of their content (once), and describes the
    cluster and its steps. With `interactive_minutes`, it puts a notebook where JupyterHub opens.

    **When it fails:** an artifact was not built (the message names the command that builds it), the
    runtime lacks the engine, or the bucket refuses writes: clear this task once that is fixed. Or the
    result of this run was published, and stays as it is: trigger a new run, or clear `plan` with all that
    follows it. No cluster exists yet.
    """
    run = RunContext.current()
    claims.check_open(run.s3, run.layout, run.owner)
    parameters, deployment = run.sized, run.deployment
    uris = artifacts.publish(
        run.s3,
        parameters.bucket,
        artifacts.LocalArtifacts(
            code_dir=deployment.code_dir,
            model_dir=deployment.model_dir,
            engine=parameters.engine,
            model_file=model_file(parameters.engine, parameters.precision),
            runtime_archive=deployment.runtime_archive,
            python_archive=deployment.python_archive if ships_python(parameters.release_label) else None,
        ),
    )
    if parameters.interactive_minutes:
        values = step_requests.notebook_values(parameters, uris)
        where = artifacts.publish_notebook(run.s3, parameters.bucket, deployment.notebooks_dir, values)
        log.info("JupyterHub will show the notebook %s", where)
    # As publish finds it: what is used again was described by the run that made it.
    known = None if step_metrics.has_work(run.plan) else run.plan["model"]
    model = known or artifacts.model_facts(deployment.model_dir, run.plan["features"])
    return {
        "job_flow": job_flow(parameters, deployment, uris.hard_lifetime, run.dag_id, run.run_id),
        "featurize_step": step_requests.featurize_step(parameters, run.layout, uris, run.plan),
        "pca_step": step_requests.reduce_step(parameters, run.layout, uris, run.plan),
        "train_step": step_requests.train_step(parameters, run.layout, uris, run.plan, model),
    }


@without_retry()
def verify() -> dict[str, int]:
    """
    Checks what the steps wrote. Row counts add up, and every live photo of the manifest has one row. Every
    vector has `components` finite values. The variance reaches its minimum. The classifier is of the result's
    features, PCA and labels. All objects are encrypted.

    **When it fails:** the message gives the figures. The old result stays current.
    """
    from fruit_pipeline.results import verification  # pyarrow is slow to import, so not at parse

    run = RunContext.current()
    metrics, classifier = _metrics(run), run.parameters.classifier
    if metrics.reduced is None or not step_metrics.are_whole(metrics, run.plan, classifier):
        raise publication.MetricsError(
            f"The steps left no metrics under {run.layout.uri(run.layout.reports)}: see their logs, then run "
            "again."
        )
    tasks = (WAIT_FOR_TRAIN, WAIT_FOR_PCA, CREATE_CLUSTER)
    worked = next(filter(None, map(run.handed_on, tasks)), None)
    seen = encryption.seen(run.s3, run.emr, run.layout, worked)
    encryption.check(run.layout.bucket, seen, cluster_too=run.deployment.require_security_configuration)
    found = (metrics.featurized, metrics.reduced, metrics.trained)
    return verification.verify(run.s3, run.layout, run.parameters, run.plan, *found)


def _metrics(run: RunContext) -> StepMetrics:
    """What the steps left, as far as they were to run."""
    if not run.plan_if_any:
        return StepMetrics()
    return step_metrics.read(run.s3, run.layout, run.plan, str(run.given["classifier"]))


@without_retry()
def publish() -> dict[str, Any]:
    """
    Seals this run's keys, so that nothing below them changes any more. Then it moves
    `Results/latest.json` to this run's result, if it still is what `plan` read. The classifier that was
    current stays so where the new one does not pass its gate.

    **When it fails:** the bucket refused the write: clear this task. Or another result has become
    current since this run was planned: trigger a new run. The current result stays as it is.
    """
    from fruit_pipeline.results import publishing  # pyarrow is slow to import, so not at parse

    run = RunContext.current()
    metrics, parameters = _metrics(run), run.parameters
    model = metrics.featurized["model"] if metrics.featurized else run.plan["model"]
    whole = step_metrics.are_whole(metrics, run.plan, parameters.classifier)
    if model is None or metrics.reduced is None or not whole:
        raise publication.MetricsError(
            f"The metrics of the run are gone from {run.layout.uri(run.layout.reports)} since they were "
            "verified: trigger a new run."
        )
    pointer = publication.pointer_to(
        run.layout,
        run.run_id,
        run.plan["features"],
        model,
        metrics.reduced,
        classifiers.asked(parameters),
        classifiers.run_to_name(run.layout.run_key, metrics.trained, run.plan["classifier_run"]),
    )
    done: dict[str, Any] = publishing.publish(
        run.s3, run.layout, run.owner, pointer, run.plan["pointer_etag"]
    )
    return done


@without_retry()
def clean() -> dict[str, Any]:
    """
    Removes what the results of the last `FRUITS_KEEP_RUNS` published runs do not refer to, or, with
    `clean_dry_run`, says what it would remove. Reports stay.

    **When it fails:** the new result is current all the same. Clear this task, or run
    `python -m fruit_pipeline clean`.
    """
    from fruit_pipeline.results import garbage  # pyarrow is slow to import, so not at parse

    run = RunContext.current()
    dry_run = run.parameters.clean_dry_run
    done = garbage.collect(run.s3, run.parameters.bucket, run.deployment.keep_runs, dry_run=dry_run)
    log.info("%s%s.", done, " (dry run)" if dry_run else "")
    return {"removed": done.removed, "objects": done.objects, "bytes": done.bytes}


@without_retry()
def report() -> str:
    """
    Writes `report.json`, for failed runs too, and is the verdict of the run: it fails when any
    task before it has. Its error is that task's own sentence, which the note on the run has, too.

    **When it fails:** read its message; it names the task that failed, and says why.
    """
    run = RunContext.current()
    # Nothing is written to a bucket outside the EU, not even a report.
    check_residency(run.region, run.layout.bucket)
    ti, run_started = run.airflow["ti"], run.airflow["dag_run"].start_date
    upstream = {task.task_id: task.upstream_task_ids for task in run.airflow["dag"].topological_sort()}
    ended = list(ti.get_task_breadcrumbs(run.dag_id, run.run_id))
    started = timing.starts(ti, list(upstream))
    record = _record(run, run_started)
    steps = facts.cluster_steps(run.emr, record.cluster["id"])
    times = timing.run_timing(record.cluster, steps, ended, started, run_started, STEP_SENSORS)
    metrics = {
        identity.FEATURIZE: record.featurized,
        identity.REDUCE: record.reduced,
        identity.TRAIN: record.trained,
    }
    document = reporting.build_report(
        record,
        tasks=timing.task_times(ended, started, upstream, run_started),
        timing=timing.with_work(times, metrics),
        cost=billing.cost_of(record, run.deployment, *run.price_clients, datetime.now(UTC)),
        encryption=encryption.seen(run.s3, run.emr, run.layout, record.cluster["id"]),
        why=failures.sentences(ti, (crumb["task_id"] for crumb in ended if str(crumb["state"]) == "failed")),
    )
    uri = run.layout.uri(run.layout.report)
    if not (document["failure"] and _is_of_a_result(run)):
        publication.write_json(run.s3, run.layout.bucket, run.layout.report, document)
        _write_page(run, document)
    if run.deployment.notify:
        _hand_to_people(run, document, uri)
    if document["failure"]:
        raise reporting.RunFailedError(f"{document['failure']} The report is {uri}.")
    return uri


def _hand_to_people(run: RunContext, document: Report, uri: str) -> None:
    """What a message on this run would say; that of a high bill goes out here."""
    with harmless("the run has ended"):
        pointer = publication.read_pointer(run.s3, run.layout.bucket, unreadable=True).pointer
        known = messages.facts_of(document, pointer)
        run.airflow["ti"].xcom_push(red_run.FACTS, known)
        if billing.is_high(document["cost"], run.given["budget_eur"]):
            # Another cluster is another bill.
            tell(run.airflow, messages.high_bill(document, known, uri), f"bill {document['cluster']['id']}")


def _write_page(run: RunContext, document: Report) -> None:
    """The report as a page, and its line among all runs. That they cannot be written fails no run."""
    from fruit_pipeline.pages import stored_page

    try:
        run_index.add(run.s3, run.layout.bucket, run_index.summary(document, run.layout.run_key))
        page = stored_page.as_file(run.s3, run.layout, document)
        run.s3.put_object(
            Bucket=run.layout.bucket,
            Key=run.layout.page,
            Body=page.encode(),
            ContentType="text/html; charset=utf-8",
        )
    except Exception:
        log.warning("The page of the report, or its line in the index, was not written.", exc_info=True)


def _is_of_a_result(run: RunContext) -> bool:
    """Whether a published result has its report, which a repetition that was refused leaves as it is."""
    there = publication.read_json(run.s3, run.layout.bucket, run.layout.report)
    return there is not None and claims.is_sealed(run.s3, run.layout)


def _record(run: RunContext, started_at: datetime) -> RunRecord:
    metrics = _metrics(run)
    return RunRecord(
        run_id=run.run_id,
        started_at=started_at,
        given=run.given,
        plan=run.plan_if_any,
        estimate=run.estimate,
        featurized=metrics.featurized,
        reduced=metrics.reduced,
        trained=metrics.trained,
        pointer=run.handed_on(PUBLISH),
        clusters=tuple(run.clusters()),
    )


@without_retry()
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
    if done.orphans:
        names = " ".join(finding.cluster_id for finding in done.orphans)
        tell(context, messages.orphans_ended(done.orphans), f"ended {names}")
    if done.failed:
        raise RuntimeError("; ".join(f"{what}: {error}" for what, error in done.failed.items()))
    return {"seen": [str(finding) for finding in done.findings], "terminated": done.terminated}
