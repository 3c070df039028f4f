"""The EMR releases that can be asked for, with the versions of their applications.

From the "Application versions" and "About Amazon EMR releases" pages of the release guide. Steps run on a
Spark that is installed locally, of which there may be three (``step_runner.Sparks``); the controller log of
each step names both.
"""

from functools import cache
from typing import Final

from moto.utilities.utils import load_resource

_OLDEST: Final = (5, 20)
_NEWEST: Final = (7, 14)
"""Of the releases whose versions are known here."""

_CHANGES: Final[dict[str, dict[str, str | None]]] = {
    "AmazonCloudWatchAgent": {"7.0": "1.300031.1-amzn-0", "7.1": "1.300032.2-amzn-0"},
    "Flink": {"5.20": "", "6.0": None, "6.1": ""},
    "Ganglia": {"5.20": "3.7.2", "7.0": None},
    "HBase": {"5.20": ""},
    "HCatalog": {
        "5.20": "2.3.4",
        "5.25": "2.3.5",
        "5.28": "2.3.6",
        "5.31": "2.3.7",
        "6.0": "3.1.2",
        "6.7": "",
    },
    "Hadoop": {
        **{"5.20": "2.8.5", "5.31": "2.10.0", "5.32": "2.10.1"},
        **{"6.0": "3.2.1", "6.9": "3.3.3", "6.15": "3.3.6"},
        **{"7.4": "3.4.0", "7.8": "3.4.1", "7.13": "3.4.2"},
    },
    "Hive": {
        "5.20": "2.3.4",
        "5.25": "2.3.5",
        "5.28": "2.3.6",
        "5.31": "2.3.7",
        "6.0": "3.1.2",
        "6.7": "",
    },
    "Hue": {
        **{"5.20": "", "6.0": "4.4.0", "6.1": "4.7.1", "6.2": "4.8.0", "6.3": "4.9.0"},
        **{"6.5": ""},
    },
    "JupyterEnterpriseGateway": {"5.32": "2.1.0", "6.0": None, "6.2": "2.1.0", "6.9": ""},
    "JupyterHub": {
        **{"5.20": "0.9.4", "5.24": "0.9.6", "5.27": "1.0.0", "5.30": "1.1.0", "5.34": ""},
        **{"6.0": "1.0.0", "6.1": "1.1.0", "6.3": "1.2.0", "6.4": "1.4.1", "6.13": ""},
    },
    "Livy": {
        **{"5.20": "0.5.0", "5.24": "0.6.0", "5.30": "0.7.0", "5.34": ""},
        **{"6.0": "0.6.0", "6.1": "0.7.0", "6.4": "0.7.1", "7.0": "", "7.7": "0.8.0"},
    },
    "MXNet": {"5.20": ""},
    "Mahout": {"5.20": "0.13.0", "6.0": None},
    "Oozie": {
        "5.20": "5.0.0",
        "5.22": "5.1.0",
        "5.30": "5.2.0",
        "6.0": "5.1.0",
        "6.1": "5.2.0",
        "6.3": "5.2.1",
    },
    "Phoenix": {"5.20": "", "6.0": "5.0.0", "6.4": "5.1.2", "6.5": ""},
    "Pig": {"5.20": "0.17.0", "6.0": None, "6.1": "0.17.0"},
    "Presto": {"5.20": "", "6.0": "0.230", "6.1": "0.232", "6.2": "0.238.3", "6.3": "0.245.1", "6.4": ""},
    "PrestoSQL": {"6.1": "338", "6.2": "343", "6.3": "350", "6.4": None},
    "Spark": {
        **{"5.20": "2.4.0", "5.24": "2.4.2", "5.25": "2.4.3", "5.27": "2.4.4", "5.30": "2.4.5"},
        **{"5.31": "2.4.6", "5.32": "2.4.7", "5.34": ""},
        **{"6.0": "2.4.4", "6.1": "3.0.0", "6.2": "3.0.1", "6.3": "3.1.1", "6.4": "3.1.2", "6.6": "3.2.0"},
        **{
            "6.7": "3.2.1",
            "6.8": "3.3.0",
            "6.10": "3.3.1",
            "6.11": "3.3.2",
            "6.12": "3.4.0",
            "6.13": "3.4.1",
        },
        **{"7.0": "3.5.0", "7.2": "3.5.1", "7.4": "3.5.2", "7.6": "3.5.3", "7.8": "3.5.4"},
        **{"7.9": "3.5.5", "7.11": "3.5.6", "7.14": "3.5.8"},
    },
    "Sqoop": {"5.20": "1.4.7", "6.0": None, "6.1": "1.4.7", "7.0": ""},
    "TensorFlow": {"5.20": "", "6.0": "1.14.0", "6.1": "2.1.0", "6.2": "2.3.1", "6.3": "2.4.1", "6.5": ""},
    "Tez": {"5.20": "", "6.0": "0.9.2", "6.7": ""},
    "Trino": {"6.4": "359", "6.5": ""},
    "Zeppelin": {"5.20": "", "6.0": "0.9.0", "6.5": "", "7.7": "0.11.1"},
    "ZooKeeper": {"5.20": "3.4.13", "5.23": "3.4.14", "6.0": "3.4.14", "6.4": "3.5.7", "6.5": ""},
}
"""Application to the releases that changed its version: "" where the version is not known here, None where
the release has not got the application."""
_SPARK_LINE: Final = {"emr-spark-8.0.0": "4.0.2", "emr-spark-8.1.0": "4.1.1"}
"""The line that is named after Spark, with its Spark. Hadoop is no application of it."""
_BESIDE_SPARK: Final = (
    "AmazonCloudWatchAgent",
    "Delta",
    "Hudi",
    "Iceberg",
    "JupyterEnterpriseGateway",
    "Livy",
)


@cache
def release_labels() -> list[str]:
    """Newest first, with the line of Spark behind the others, as EMR lists them."""
    recorded: list[str] = load_resource("emr/resources/release-labels-eu-west-1.json")
    numbered = (label for label in recorded if label[4:5].isdigit())
    known = [label for label in numbered if _OLDEST <= _number(label) <= _NEWEST]
    # It came out after that list was recorded.
    return ["emr-7.14.0", *(label for label in known if label != "emr-7.14.0"), *_SPARK_LINE]


def applications(label: str) -> dict[str, str]:
    """Application name, as EMR spells it, to version, "" for one that is not known here."""
    if label in _SPARK_LINE:
        return {"Spark": _SPARK_LINE[label], **dict.fromkeys(_BESIDE_SPARK, "")}
    asked = _number(label)
    versions: dict[str, str] = {}
    for name, changes in _CHANGES.items():
        passed = [version for release, version in changes.items() if _number(release) <= asked]
        if passed and passed[-1] is not None:
            versions[name] = passed[-1]
    return versions


def canonical_application(name: str, label: str) -> str | None:
    """The name as EMR spells it (requests may spell it in any case), None where the release lacks it."""
    return next((each for each in applications(label) if each.lower() == name.lower()), None)


def _number(release: str) -> tuple[int, int]:
    """``7.13.0`` is (7, 13): versions of applications do not change with the third number."""
    major, minor = release.removeprefix("emr-").split(".")[:2]
    return int(major), int(minor)
