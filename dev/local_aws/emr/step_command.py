"""What a step runs, by its jar: EMR's two runners of programs, or a jar of Hadoop's. Pure."""

from pathlib import PurePosixPath
from typing import Final

from local_aws.emr.cluster_data import Step
from local_aws.emr.spark_submit import LocalCommand, Localized

_REMOTE: Final = ("s3://", "s3a://", "s3n://")
_EMRS_BUCKET: Final = "elasticmapreduce"
"""How the name of EMR's own bucket ends in each region."""
_EMRS_SCRIPTS: Final = {
    "state-pusher/0.1/fetch": "state-pusher-script",
    "hive/hive-script": "hive-script",
    "pig/pig-script": "pig-script",
}
"""Those of its folder ``libs``, to the program that has taken their place."""
_DIST_CP_JARS: Final = ("s3-dist-cp.jar", "s3distcp.jar")
_EXECUTED: Final = 'chmod +x "./$0" && exec "./$0" "$@"'


class UnsupportedStepError(Exception):
    """A step that cannot be run on this machine; the message says why."""


def of(step: Step) -> LocalCommand:
    """The program and its arguments, as a node would run them, after localizing what."""
    jar = PurePosixPath(step.jar).name
    if jar == "command-runner.jar":
        if not step.args:
            raise UnsupportedStepError("command-runner.jar was given no command: put it into Args.")
        return LocalCommand(step.args)
    if jar == "script-runner.jar":
        if not step.args:
            raise UnsupportedStepError("script-runner.jar was given no script: put its address into Args.")
        return _script(step.args[0], step.args[1:])
    if jar in _DIST_CP_JARS:
        return LocalCommand(["s3-dist-cp", *step.args])
    main_class = [step.main_class] if step.main_class else []
    localized = [Localized(step.jar, jar)] if step.jar.startswith(_REMOTE) else []
    local = jar if localized else step.jar.removeprefix("file://")
    return LocalCommand(["hadoop", "jar", local, *main_class, *step.args], localized=localized)


def _script(uri: str, args: list[str]) -> LocalCommand:
    if not uri.startswith(_REMOTE):
        return LocalCommand([uri.removeprefix("file://"), *args])
    bucket, _, key = uri.partition("://")[2].partition("/")
    if bucket.endswith(_EMRS_BUCKET):
        program = _EMRS_SCRIPTS.get(key.removeprefix("libs/"))
        if program is None:
            raise UnsupportedStepError(
                f"{uri} cannot be run here: this machine has no copy of EMR's own bucket."
            )
        return LocalCommand([program, *args])
    name = PurePosixPath(key).name
    return LocalCommand(["sh", "-c", _EXECUTED, name, *args], localized=[Localized(uri, name)])
