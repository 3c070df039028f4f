"""Which EMR releases a run can choose, and which Python its steps find there.

Releases of the seventh line run on Amazon Linux 2023, which has Python 3.11. So do those of emr-spark, a line
of its own with Spark 4. Of the sixth, the last one is offered, for its Spark 3.4: it runs on Amazon Linux 2,
whose Python and C library are too old for what the steps import, so that both are shipped
(``deploy/artifacts/interpreter.py``).
"""

import re
from collections.abc import Iterable
from typing import Final

DEFAULT_RELEASE: Final = "emr-7.13.0"
OLDEST_RELEASE: Final = "emr-6.15.0"
NEWEST_RELEASE: Final = "emr-spark-8.1.0"
TESTED_RELEASES: Final = (DEFAULT_RELEASE, NEWEST_RELEASE, OLDEST_RELEASE)
"""The form proposes these. Every release has the same steps, on the Spark of one of these lines."""
RELEASE_PATTERN: Final = r"^emr-(7\.[1-9][0-9]\.[0-9]+|spark-8\.[0-9]+\.[0-9]+|6\.15\.0)$"
"""Of the seventh line those from 7.10.0 on: earlier ones have no S3A behind ``s3://``. Whether EMR has such a
release in the region is for EMR to say, before the cluster is asked for."""
_SPARK_LINE: Final = "emr-spark-"
PYTHON_FOLDER: Final = "python"
"""What a shipped Python is called in the working directory of a driver or an executor."""
_OF_THE_NODES: Final = "/usr/bin/python3.11"


def ships_python(release_label: str) -> bool:
    """Whether the nodes have no Python that will do."""
    return release_label.startswith("emr-6.")


def has_jupyterhub(release_label: str) -> bool:
    """Whether JupyterHub is among the release's applications. Source: Release Guide, emr-spark-8.0.0."""
    return not release_label.startswith(_SPARK_LINE)


def python(release_label: str) -> str:
    """The command that starts Python in a driver or an executor."""
    return f"./{PYTHON_FOLDER}/bin/python3.11" if ships_python(release_label) else _OF_THE_NODES


def nearest_release(label: str, offered: Iterable[str]) -> str | None:
    """The nearest by line and version of what EMR offers and a run can choose; None where there is none."""
    wanted = _version(label)
    fitting = [each for each in offered if re.match(RELEASE_PATTERN, each)]
    return min(
        fitting,
        key=lambda each: [abs(one - other) for one, other in zip(_version(each), wanted, strict=True)],
        default=None,
    )


def _version(label: str) -> list[int]:
    numbers = label.removeprefix(_SPARK_LINE).removeprefix("emr-")
    return [int(label.startswith(_SPARK_LINE)), *map(int, numbers.split("."))]
