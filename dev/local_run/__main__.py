"""``python -m local_run``: run the pipeline once on this machine, or keep it up for the UI."""

import shutil
import signal
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from fruit_contract.layout import DAG_ID, INPUT_PREFIX, RunLayout, run_key
from fruit_pipeline import command_line
from fruit_pipeline.results import progress
from fruit_pipeline.settings.parameters import ParameterError, RunParameters
from local_aws import real_account, state_lock
from local_run import bucket_sync, drops_rehearsal, generated_photos, local_account, preflight, results, seed
from local_run.airflow_server import AirflowError, AirflowHome
from local_run.follow import follow
from local_run.local_stack import Paths, Stack, StackPlan, running
from local_run.pace import measure
from local_run.processes import ChildEndedError
from local_run.watching import watching

QUEUE = "photos"
"""What `make up` watches for drops of photos."""
_WRONG_INPUT = 2
_INTERRUPTED = 130

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, help=__doc__)
console = Console(soft_wrap=True)

Port = Annotated[int, typer.Option(help="port of Airflow's UI on 127.0.0.1; 0 takes a free one")]
StateDir = Annotated[Path | None, typer.Option(help="where to keep state; default .state")]
OutDir = Annotated[Path | None, typer.Option(help="where to leave results; default out")]
TimeFactor = Annotated[float, typer.Option(help="how much faster than EMR local clusters are provisioned")]


def _paths(state: Path | None, out: Path | None = None) -> Paths:
    default = Paths.of(Path(__file__).resolve().parents[2])
    return Paths(default.repository, state or default.state, out or default.out)


class UserError(Exception):
    """Something the person at the keyboard can put right; the message says how."""


_REFUSED = (command_line.UsageError, UserError, AirflowError, ChildEndedError, state_lock.InUseError)


def _check(paths: Paths, port: int) -> None:
    """What must hold before anything starts."""
    state_lock.check_free(paths.state)
    for problem in (preflight.port_problem(port), preflight.disk_problem(paths.repository, preflight.RUN_GB)):
        if problem:
            raise UserError(problem)
    needed = (paths.spark_python, paths.cache / "jars", paths.cache / "model" / "model.json")
    for path in needed:
        if not path.exists():
            raise UserError(f"{path.relative_to(paths.repository)} is missing: run `make setup`.")


def _bucket(region: str) -> str:
    """The local run's own bucket in a region."""
    return f"fruits-classification-p9-local-{region}"


def _parameters(words: list[str]) -> dict[str, Any]:
    """``name=value`` words as the DAG's parameters; only those that were given, and the bucket."""
    try:
        checked = RunParameters.parsed(words).model_dump()
    except ParameterError as error:
        raise UserError(str(error)) from error
    given = {word.partition("=")[0] for word in words}
    if "bucket" in given:
        raise UserError("The local run has its own bucket: leave the parameter bucket out.")
    return {"bucket": _bucket(checked["region"]), **{name: checked[name] for name in given}}


@cli.command()
def run(
    folder: Annotated[
        Path | None, typer.Option("--images", help="folder with one sub-folder per label")
    ] = None,
    count: Annotated[
        int, typer.Option(help="how many photos to generate when no folder is given")
    ] = seed.PHOTOS,
    args: Annotated[
        str, typer.Option(help="parameters of the DAG, such as 'components=64 image_size=160'")
    ] = "",
    port: Port = 0,
    time_factor: TimeFactor = 1000.0,
    state_dir: StateDir = None,
    out_dir: OutDir = None,
) -> None:
    """Run the pipeline once: start everything, trigger the DAG, fetch the results, stop everything."""
    paths, began = _paths(state_dir, out_dir), time.monotonic()
    parameters = _parameters(args.split())
    if count < 1:
        raise UserError(f"COUNT is {count}: ask for at least 1 photo.")
    _check(paths, port)
    try:
        if folder:
            bucket_sync.read_folder(folder)
    except bucket_sync.ImagesError as error:
        raise UserError(str(error)) from error

    bucket = parameters["bucket"]
    stack = Stack(StackPlan(paths, bucket, time_factor, port), console)
    with running(stack):
        api = stack.start_airflow()
        s3 = _prepare_account(stack, parameters.get("region"))
        source = folder or generated_photos.generate(paths.state / "images", count)
        prefix = str(parameters.get("input_prefix", RunParameters.model_fields["input_prefix"].default))
        summary = bucket_sync.mirror(s3, source, bucket, prefix, console)
        console.print(
            f"Photos: {summary.uploaded} uploaded, {summary.already_there} already there, "
            f"{summary.removed} removed, {len(summary.ignored)} files left out"
        )
        api.wait_until_ready(DAG_ID)
        console.print(f"Airflow is up at {stack.airflow.door} after {time.monotonic() - began:.0f} s")
        run_id = f"local__{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}"
        api.trigger(DAG_ID, run_id, parameters)
        layout, since = RunLayout(bucket, run_key(run_id)), datetime.now(UTC)
        said = partial(progress.read, s3, layout.uri(layout.progress), since)
        state = follow(api, DAG_ID, run_id, stack.children, console, said)
        report = results.fetch(s3, layout, paths.out)
        left = stack.end_clusters()
    if report is None:
        raise UserError(f"The run {state} and left no report: see {stack.airflow.home / 'logs'}.")
    results.show(report, console)
    wrong = results.problems(report) if state == "success" else [report["failure"] or "The run failed."]
    if left:
        wrong.append(f"{left} clusters were still there after the run.")
    left_in = results.folder_of(report)
    what = "Results are" if state == "success" else "What the run left is"
    console.print(f"{what} in {paths.out.name}/{left_in}, {time.monotonic() - began:.0f} s in all")
    page = paths.out / left_in / "report.html"
    if page.exists():
        console.print(f"Open {page} in a browser to see them", highlight=False, soft_wrap=True)
    if wrong:
        raise UserError(" ".join(wrong))


@cli.command()
def migrate(state_dir: StateDir = None) -> None:
    """Create or migrate the database of the local Airflow (part of the set-up)."""
    paths = _paths(state_dir)
    AirflowHome(paths.state / "airflow", paths.repository, port=0).migrate()


@cli.command()
def up(port: Port = 8080, time_factor: TimeFactor = 1000.0, state_dir: StateDir = None) -> None:
    """Keep local AWS and Airflow up until Ctrl-C, to use the UI and the AWS CLI by hand."""
    paths = _paths(state_dir)
    _check(paths, port)
    bucket = _bucket(RunParameters().region)
    stack = Stack(StackPlan(paths, bucket, time_factor, port, queue=QUEUE), console)
    with running(stack):
        api = stack.start_airflow()
        s3, prefix = _prepare_account(stack, None), RunParameters().input_prefix
        # Before the queue is told of photos: these start no run.
        seed.put_photos(s3, bucket, None, seed.PHOTOS, console)
        local_account.tell_queue(s3, stack.client("sqs"), bucket, prefix, stack.queue_url)
        api.wait_until_ready(DAG_ID)
        for name, value in stack.aws.items():
            console.print(f"export {name}={value}", highlight=False)
        console.print(
            f"Airflow is up at {stack.airflow.door}; Ctrl-C ends it. Trigger {DAG_ID} there to start a run. "
            "To add photos, put the exports above into another shell, and "
            f"make upload IMAGES=folder BUCKET={bucket}",
            highlight=False,
            soft_wrap=True,
        )
        while True:
            for child in stack.children:
                child.check()
            time.sleep(1)


@cli.command(name="drops")
def rehearse_drops(
    folder: Annotated[
        Path | None, typer.Option("--images", help="folder with one sub-folder per label")
    ] = None,
    port: Port = 0,
    time_factor: TimeFactor = 1000.0,
    state_dir: StateDir = None,
    out_dir: OutDir = None,
) -> None:
    """Drop photos in a watched bucket, change and delete some, and show in a table what came of it."""
    paths, script, began = _paths(state_dir, out_dir), drops_rehearsal.Script(), time.monotonic()
    # Its own, and from nothing: what earlier runs have left would be counted.
    own = Paths(paths.repository, paths.state / "drops", paths.out)
    _check(own, port)
    try:
        photos = drops_rehearsal.choose(
            folder or generated_photos.generate(paths.state / "images", script.photos), script
        )
    except bucket_sync.ImagesError as error:
        raise UserError(str(error)) from error
    shutil.rmtree(own.state, ignore_errors=True)
    pace = measure()
    plan = StackPlan(
        own,
        _bucket(RunParameters().region),
        time_factor,
        port,
        settings=drops_rehearsal.in_a_hurry(pace),
        queue=QUEUE,
    )
    stack = Stack(plan, console)
    with watching(stack, INPUT_PREFIX, pace) as system:
        console.print(f"Airflow is up at {stack.airflow.door} after {time.monotonic() - began:.0f} s")
        try:
            figures = drops_rehearsal.rehearse(system, photos, script, own.out, console)
        except bucket_sync.ImagesError as error:
            raise UserError(str(error)) from error
    drops_rehearsal.show(figures, console)
    console.print(f"The result is in {paths.out.name}/latest, {time.monotonic() - began:.0f} s in all")
    if wrong := drops_rehearsal.problems(figures):
        raise UserError(" ".join(wrong))


def _prepare_account(stack: Stack, region: str | None) -> Any:
    """The bucket and the roles; returns the S3 client."""
    region = region or stack.aws["AWS_DEFAULT_REGION"]
    s3 = stack.client("s3", region)
    local_account.create_bucket(s3, stack.deployment.bucket, region)
    local_account.create_roles(stack.client("iam"), stack.deployment)
    return s3


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    # SIGINT too: a shell starts its background jobs with Ctrl-C ignored.
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    real_account.forget_it()
    try:
        code = command_line.call(cli, of_make=True)
    except _REFUSED as error:
        # What is wrong may hold brackets, which are rich's markup.
        console.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return _WRONG_INPUT
    # typer answers Ctrl-C with this code rather than an exception.
    if code == _INTERRUPTED:
        console.print("Interrupted: everything that was started has been ended.")
    return code


if __name__ == "__main__":
    sys.exit(main())
