"""The DAGs of the repository, parsed once by Airflow's own DagBag with a database of its own."""

from typing import TYPE_CHECKING

import pytest

from tests.conftest import REPOSITORY

if TYPE_CHECKING:
    from airflow.dag_processing.dagbag import DagBag
    from airflow.sdk import DAG

HEAVY_MODULES = ("pyspark", "tensorflow", "cv2", "pyarrow", "pandas", "matplotlib", "ai_edge_litert")


@pytest.fixture(scope="session")
def dagbag() -> "DagBag":
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(dag_folder=REPOSITORY / "dags")


@pytest.fixture(scope="session")
def dag(dagbag: "DagBag") -> "DAG":
    assert dagbag.import_errors == {}, "a DAG file cannot be imported: read the traceback above"
    return dagbag.dags["fruit_features"]
