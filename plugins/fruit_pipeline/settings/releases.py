"""The EMR releases that a run can choose, and which Python its steps find there.

Releases of the seventh line run on Amazon Linux 2023, which has Python 3.11. Of the sixth, the last one is
offered, for its Spark 3.4: it runs on Amazon Linux 2, whose Python and C library are too old for what the
steps import, so that both are shipped (``deploy/artifacts/interpreter.py``).
"""

from typing import Final

DEFAULT_RELEASE: Final = "emr-7.13.0"
RELEASES: Final = (DEFAULT_RELEASE, "emr-7.12.0", "emr-7.11.0", "emr-7.10.0", "emr-6.15.0")
"""Newest first."""
PYTHON_FOLDER: Final = "python"
"""What a shipped Python is called in the working directory of a driver or an executor."""
_OF_THE_NODES: Final = "/usr/bin/python3.11"


def ships_python(release_label: str) -> bool:
    """Whether the nodes have no Python that will do."""
    return release_label.startswith("emr-6.")


def python(release_label: str) -> str:
    """The command that starts Python in a driver or an executor."""
    return f"./{PYTHON_FOLDER}/bin/python3.11" if ships_python(release_label) else _OF_THE_NODES
