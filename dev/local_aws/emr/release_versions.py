"""The EMR releases that can be asked for, with the versions of what matters here.

From the "About Amazon EMR releases" pages of the release guide. Steps run on the Spark that is installed
locally, of which there may be two (``steps.Sparks``); the controller log of each step names both.
"""

from typing import Final

_SPARK_AND_HADOOP: Final = {
    "emr-7.13.0": ("3.5.6", "3.4.2"),
    "emr-7.12.0": ("3.5.6", "3.4.1"),
    "emr-7.11.0": ("3.5.6", "3.4.1"),
    "emr-7.10.0": ("3.5.5", "3.4.1"),
    "emr-7.9.0": ("3.5.5", "3.4.1"),
    "emr-7.8.0": ("3.5.4", "3.4.1"),
    "emr-7.7.0": ("3.5.3", "3.4.0"),
    "emr-7.6.0": ("3.5.3", "3.4.0"),
    "emr-7.5.0": ("3.5.2", "3.4.0"),
    "emr-7.4.0": ("3.5.2", "3.4.0"),
    "emr-7.3.0": ("3.5.1", "3.3.6"),
    "emr-7.2.0": ("3.5.1", "3.3.6"),
    "emr-7.1.0": ("3.5.0", "3.3.6"),
    "emr-7.0.0": ("3.5.0", "3.3.6"),
    "emr-6.15.0": ("3.4.1", "3.3.6"),
    "emr-6.14.0": ("3.4.1", "3.3.3"),
    "emr-6.13.0": ("3.4.1", "3.3.3"),
    "emr-6.12.0": ("3.4.0", "3.3.3"),
    "emr-6.11.0": ("3.3.2", "3.3.3"),
    "emr-6.10.0": ("3.3.1", "3.3.3"),
}
_OTHER_APPLICATIONS: Final = (
    "AmazonCloudWatchAgent",
    "Flink",
    "HBase",
    "HCatalog",
    "Hive",
    "Hue",
    "JupyterEnterpriseGateway",
    "JupyterHub",
    "Livy",
    "Oozie",
    "Phoenix",
    "Pig",
    "Presto",
    "TensorFlow",
    "Tez",
    "Trino",
    "Zeppelin",
    "ZooKeeper",
)
"""Accepted in a request; their versions are not told, and they do not exist on the local machine."""


def release_labels() -> list[str]:
    """Newest first, as EMR lists them."""
    return list(_SPARK_AND_HADOOP)


def applications(label: str) -> dict[str, str]:
    """Application name to version; ``KeyError`` for a label that does not exist."""
    spark, hadoop = _SPARK_AND_HADOOP[label]
    return {"Hadoop": hadoop, "Spark": spark}


def canonical_application(name: str) -> str | None:
    """The name as EMR spells it (requests may spell it in any case), None for an unknown one."""
    known = ("Hadoop", "Spark", *_OTHER_APPLICATIONS)
    return next((each for each in known if each.lower() == name.lower()), None)
