"""A spark-submit for YARN on EMR, translated into one for this machine. Pure: strings in, strings out.

What YARN would do is done beforehand by ``localize`` (files and archives in the working directory);
what only makes sense on a cluster (executor sizes, dynamic allocation, ``spark.yarn.*``) is dropped.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from local_aws import class_archive
from local_aws.emr import hadoop

_VALUE_OPTIONS: Final = {
    "--master": "spark.master",
    "--deploy-mode": "spark.submit.deployMode",
    "--name": "spark.app.name",
    "--queue": "spark.yarn.queue",
    "--driver-memory": "spark.driver.memory",
    "--driver-java-options": "spark.driver.extraJavaOptions",
    "--driver-library-path": "spark.driver.extraLibraryPath",
    "--driver-class-path": "spark.driver.extraClassPath",
    "--driver-cores": "spark.driver.cores",
    "--executor-memory": "spark.executor.memory",
    "--executor-cores": "spark.executor.cores",
    "--total-executor-cores": "spark.cores.max",
    "--num-executors": "spark.executor.instances",
    "--principal": "spark.kerberos.principal",
    "--keytab": "spark.kerberos.keytab",
    "--jars": "spark.jars",
    "--py-files": "spark.submit.pyFiles",
    "--files": "spark.files",
    "--archives": "spark.archives",
    "--packages": "spark.jars.packages",
    "--repositories": "spark.jars.repositories",
    "--exclude-packages": "spark.jars.excludes",
}
"""Options that are short for a configuration property."""
_FLAGS: Final = ("--verbose", "-v", "--supervise")
_DROPPED: Final = re.compile(
    r"spark\.(yarn\.|dynamicAllocation\.|shuffle\.service\.|kerberos\.|decommission\.|cores\.max$|master$"
    r"|submit\.deployMode$|executor\.(instances|cores|memory|memoryOverhead|memoryOverheadFactor)$"
    r"|driver\.(cores|memory|memoryOverhead|memoryOverheadFactor)$)"
)
_EMR_PYTHON: Final = re.compile(r"/usr/(local/)?bin/python3(\.\d+)?|python3(\.\d+)?")
_MEMORY_UNITS_MB: Final = {"k": 1 / 1024, "m": 1, "g": 1024, "t": 1024 * 1024, "": 1}
_DEFAULT_MEMORY_MB: Final = 1024
_YARN_TASK_FAILURES: Final = 4
_SHORT_LIVED: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""A JVM that lives for half a minute on two cores spends a fifth of it on the second compiler."""
SCRATCH: Final = "tmp"
"""The folder below the working directory for whatever a step leaves behind, deleted with it."""
_REMOTE: Final = ("s3://", "s3a://", "s3n://")


class SparkSubmitError(ValueError):
    """The arguments cannot be run here; the message says which and why."""


@dataclass(frozen=True)
class LocalSpark:
    """The Spark of this machine, and how much of the machine a step may take."""

    spark_home: Path
    python: Path
    java_home: Path
    jars_dir: Path | None
    s3_endpoint: str
    cores: int
    memory_cap_mb: int


@dataclass(frozen=True)
class Localized:
    """Something to put into the step's working directory under ``name`` before it starts."""

    uri: str
    name: str
    unpack: bool = False


@dataclass(frozen=True)
class Submission:
    """spark-submit's arguments, understood: every option as the property it is short for."""

    conf: dict[str, str]
    main_class: str | None
    application: str
    application_args: tuple[str, ...]
    properties_file: str | None = None


@dataclass(frozen=True)
class LocalCommand:
    """What to run, with what in its environment, after localizing what."""

    argv: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    localized: list[Localized] = field(default_factory=list)


def parse(args: Sequence[str]) -> Submission:
    """Read the arguments that follow ``spark-submit``. :class:`SparkSubmitError` for one it would refuse."""
    conf: dict[str, str] = {}
    main_class = properties_file = None
    rest = list(args)
    while rest and rest[0].startswith("-"):
        option, given, value = rest.pop(0).partition("=")
        if option in _FLAGS:
            continue
        if option not in (*_VALUE_OPTIONS, "--conf", "-c", "--class", "--properties-file"):
            raise SparkSubmitError(f"spark-submit has no option {option!r}, or it cannot be used in a step.")
        if not given:
            if not rest:
                raise SparkSubmitError(f"spark-submit's option {option} needs a value.")
            value = rest.pop(0)
        if option in ("--conf", "-c"):
            key, equals, setting = value.partition("=")
            if not equals:
                raise SparkSubmitError(f"--conf {value!r} is not of the form property=value.")
            conf[key.strip()] = setting
        elif option == "--class":
            main_class = value
        elif option == "--properties-file":
            properties_file = value
        else:
            conf[_VALUE_OPTIONS[option]] = value
    if not rest:
        raise SparkSubmitError("spark-submit was given no application (a .py file or a jar).")
    return Submission(conf, main_class, rest[0], tuple(rest[1:]), properties_file)


def localize_and_translate(
    submission: Submission, spark: LocalSpark, cluster_defaults: Mapping[str, str], workdir: Path
) -> LocalCommand:
    """The command that does here what the submission would do on the cluster.

    ``cluster_defaults`` is what the cluster's ``spark-defaults`` and ``core-site`` say; ``workdir`` is the
    directory the command will run in, for values that refer to it as YARN's ``{{PWD}}``.
    """
    conf = {**cluster_defaults, **submission.conf}
    if "spark.jars.packages" in conf:
        raise SparkSubmitError(
            "--packages would download from the internet: put the jars on S3 and use --jars."
        )
    if submission.properties_file is not None:
        raise SparkSubmitError("--properties-file is not supported here: give its settings with --conf.")
    localized: list[Localized] = []
    application = _localize_one(submission.application, localized)
    files = _pop_list(conf, "spark.files", "spark.yarn.dist.files")
    archives = _pop_list(conf, "spark.archives", "spark.yarn.dist.archives")
    py_files = [_localize_one(uri, localized) for uri in _pop_list(conf, "spark.submit.pyFiles")]
    jars = [_localize_one(uri, localized) for uri in _pop_list(conf, "spark.jars", "spark.yarn.dist.jars")]
    localized += [_aliased(uri, unpack=False) for uri in files]
    localized += [_aliased(uri, unpack=True) for uri in archives]

    environment = _driver_environment(conf, spark, workdir)
    settings = _image_defaults(spark) | _kept(conf, spark, workdir) | _forced(conf, spark, workdir)
    argv = [str(spark.spark_home / "bin" / "spark-submit")]
    argv += ["--master", f"local[{spark.cores},{conf.get('spark.task.maxFailures', _YARN_TASK_FAILURES)}]"]
    argv += ["--driver-memory", f"{_memory_mb(conf, spark.memory_cap_mb)}m"]
    for key, value in settings.items():
        argv += ["--conf", f"{key}={value}"]
    if submission.main_class:
        argv += ["--class", submission.main_class]
    if py_files:
        argv += ["--py-files", ",".join(py_files)]
    if jars:
        argv += ["--jars", ",".join(jars)]
    return LocalCommand([*argv, application, *submission.application_args], environment, localized)


def _driver_environment(conf: Mapping[str, str], spark: LocalSpark, workdir: Path) -> dict[str, str]:
    environment = {"PYSPARK_PYTHON": str(spark.python), "SPARK_LOCAL_DIRS": str(workdir / SCRATCH)}
    if spark.jars_dir is not None:
        # Behind Spark's own jars on the class path, for S3A's bring an older Jackson.
        environment["SPARK_DIST_CLASSPATH"] = f"{spark.jars_dir}/*"
    # appMasterEnv reaches the driver in cluster mode only: in client mode the driver is no YARN container.
    if conf.get("spark.submit.deployMode") == "cluster":
        for key, value in conf.items():
            name = key.removeprefix("spark.yarn.appMasterEnv.")
            if name != key:
                environment[name] = _local_value(value, spark, workdir, name.startswith("PYSPARK_"))
    return environment


def _image_defaults(spark: LocalSpark) -> dict[str, str]:
    """What the EMR image has in its spark-defaults, as far as it matters here."""
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": "spark-warehouse",
        "spark.sql.shuffle.partitions": str(max(4, 2 * spark.cores)),
        "spark.hadoop.fs.s3a.connection.maximum": "64",
        # As EMR's nodes have it for their S3: a file is renamed once, and a rename there is a copy.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
    }


def _kept(conf: Mapping[str, str], spark: LocalSpark, workdir: Path) -> dict[str, str]:
    kept = {}
    for key, value in conf.items():
        if _DROPPED.match(key):
            continue
        names_python = key in ("spark.pyspark.python", "spark.pyspark.driver.python") or "Env.PYSPARK_" in key
        kept[key] = _local_value(value, spark, workdir, names_python)
    return kept


def _forced(conf: Mapping[str, str], spark: LocalSpark, workdir: Path) -> dict[str, str]:
    """What must hold whatever the step says: no traffic but loopback, S3 from moto."""
    java_options = [
        *_SHORT_LIVED,
        *class_archive.options(spark.python),
        conf.get("spark.driver.extraJavaOptions", ""),
    ]
    java_options.append(f"-Djava.io.tmpdir={workdir / SCRATCH}")
    return {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": " ".join(java_options).strip(),
        **{f"spark.hadoop.{name}": value for name, value in hadoop.s3_settings(spark.s3_endpoint).items()},
    }


def _local_value(value: str, spark: LocalSpark, workdir: Path, names_python: bool) -> str:
    if names_python and _EMR_PYTHON.fullmatch(value):
        return str(spark.python)
    return value.replace("{{PWD}}", str(workdir)).replace("$PWD", str(workdir))


def _memory_mb(conf: Mapping[str, str], cap: int) -> int:
    """The driver is the executor too, so it gets what the larger of the two asked for, up to the cap."""
    asked = [conf[key] for key in ("spark.driver.memory", "spark.executor.memory") if key in conf]
    return min(cap, max(map(_parse_memory_mb, asked), default=_DEFAULT_MEMORY_MB))


def _parse_memory_mb(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kmgt]?)b?", text.strip().lower())
    if match is None:
        raise SparkSubmitError(f"{text!r} is not an amount of memory: write it like 4g or 512m.")
    return int(int(match[1]) * _MEMORY_UNITS_MB[match[2]])


def _pop_list(conf: dict[str, str], *keys: str) -> list[str]:
    values = [conf.pop(key, "") for key in keys]
    return [item.strip() for value in values for item in value.split(",") if item.strip()]


def _localize_one(uri: str, localized: list[Localized]) -> str:
    """The name to use for ``uri``, which is fetched first if it is on S3."""
    if not uri.startswith(_REMOTE):
        return uri
    item = _aliased(uri, unpack=False)
    localized.append(item)
    return item.name


def _aliased(uri: str, unpack: bool) -> Localized:
    """YARN's ``uri#alias``. A ``#`` in the key itself cannot be said, as on YARN."""
    address, _, alias = uri.partition("#")
    name = alias or PurePosixPath(address).name
    if (
        not name
        or name in (".", "..")
        or PurePosixPath(name).is_absolute()
        or ".." in PurePosixPath(name).parts
    ):
        raise SparkSubmitError(f"{uri!r} does not name a file below the working directory.")
    return Localized(address, name, unpack)
