"""The EMR releases that can be asked for, with the versions of what matters here.

From the "About Amazon EMR releases" pages of the release guide. Steps run on a Spark that is installed
locally, of which there may be three (``step_runner.Sparks``); the controller log of each step names both.
"""

from typing import Final

_SPARK_AND_HADOOP: Final = {
    "emr-7.14.0": ("3.5.8", "3.4.2"),
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
    "emr-spark-8.0.0": ("4.0.2", None),
    "emr-spark-8.1.0": ("4.1.1", None),
}
"""None where Hadoop is no application of the release."""
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
_SPARK_LINE: Final = "emr-spark-"
_BESIDE_SPARK: Final = (
    "AmazonCloudWatchAgent",
    "Delta",
    "Hudi",
    "Iceberg",
    "JupyterEnterpriseGateway",
    "Livy",
)
"""The same of the line that is named after Spark."""


def release_labels() -> list[str]:
    """Newest first, with the line of Spark behind the others, as EMR lists them."""
    return list(_SPARK_AND_HADOOP)


def applications(label: str) -> dict[str, str]:
    """Application name to version; ``KeyError`` for a label that does not exist."""
    spark, hadoop = _SPARK_AND_HADOOP[label]
    return {"Spark": spark} | ({"Hadoop": hadoop} if hadoop else {})


def canonical_application(name: str, label: str) -> str | None:
    """The name as EMR spells it (requests may spell it in any case), None for one that the release lacks."""
    of_spark = label.startswith(_SPARK_LINE)
    known = ("Spark", *_BESIDE_SPARK) if of_spark else ("Hadoop", "Spark", *_OTHER_APPLICATIONS)
    return next((each for each in known if each.lower() == name.lower()), None)
