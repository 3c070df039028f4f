"""Spark's own examples. pyspark has no jar of them, but the same ones in Python."""

from pathlib import Path, PurePosixPath
from typing import Final

from local_aws.emr.spark_submit import SparkSubmitError, Submission

_PACKAGE: Final = "org.apache.spark.examples."
_PREFIXES: Final = ("java", "spark", "local")


def in_python(submission: Submission, spark_home: Path) -> Submission:
    """The same example in Python, where ``submission`` is one of Spark's jar of examples."""
    if not PurePosixPath(submission.application).name.startswith("spark-examples"):
        return submission
    return _example(submission, submission.main_class or "", submission.application_args, spark_home)


def of_run_example(submission: Submission, spark_home: Path) -> Submission:
    """What ``run-example`` submits: its application is the name of a class, with or without the package."""
    return _example(submission, submission.application, submission.application_args, spark_home)


def _example(submission: Submission, name: str, arguments: tuple[str, ...], spark_home: Path) -> Submission:
    folder = spark_home / "examples" / "src" / "main" / "python"
    wanted = name.removeprefix(_PACKAGE)
    for path in sorted(folder.rglob("*.py")):
        found = path.relative_to(folder).with_suffix("").as_posix()
        if _plain(found.replace("/", ".")) == _plain(wanted):
            return Submission(submission.conf, None, str(path), arguments, submission.properties_file)
    raise SparkSubmitError(
        f"Spark's example {wanted!r} cannot be run here: this machine has Spark's examples in Python only, "
        "and this is none of them."
    )


def _plain(name: str) -> str:
    """``ml.KMeansExample`` and ``ml/kmeans_example.py``, ``SparkPi`` and ``pi.py`` are the same."""
    package, _, last = name.lower().replace("_", "").rpartition(".")
    for prefix in _PREFIXES:
        last = last.removeprefix(prefix)
    return f"{package}.{last}"
