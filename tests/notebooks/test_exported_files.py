"""Promise: pandas and DuckDB read what `make export` writes, row for row."""

import subprocess
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from tests.notebooks.conftest import AIRFLOW_PYTHON, COMPONENTS, PHOTOS, REPOSITORY, Run

COLUMNS = [f"c{number}" for number in range(1, COMPONENTS + 1)]


@pytest.fixture
def result(run: Run) -> pd.DataFrame:
    """The result itself, by path, with a column a component."""
    rows = pq.read_table(run.latest / "pca_output").to_pandas().set_index("path")
    assert len(rows) == PHOTOS
    components = pd.DataFrame(rows["features"].tolist(), rows.index, COLUMNS, np.float32)
    return pd.concat([rows["label"], components], axis=1)


def exported(run: Run, file: Path) -> Path:
    words = ["export", "--result", str(run.latest), "--to", str(file)]
    command = [AIRFLOW_PYTHON, "-m", "fruit_pipeline", *words]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return file


def check(found: pd.DataFrame, result: pd.DataFrame) -> None:
    """The rows of an export are those of the result, by pandas' own comparison."""
    by_path = found.set_index("path").loc[result.index].astype(dict.fromkeys(COLUMNS, np.float32))
    pd.testing.assert_frame_equal(by_path, result, check_exact=True)


def spread(found: pd.DataFrame) -> pd.DataFrame:
    """One list a row as a column a component."""
    components = pd.DataFrame(np.stack(found["features"].to_numpy()), columns=COLUMNS)
    return pd.concat([found[["path", "label"]], components], axis=1)


def test_csv(run: Run, result: pd.DataFrame, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "fruits.csv")
    check(pd.read_csv(file), result)
    check(duckdb.sql(f"SELECT * FROM read_csv('{file}')").df(), result)


def test_parquet(run: Run, result: pd.DataFrame, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "fruits.parquet")
    check(spread(pd.read_parquet(file)), result)
    check(spread(duckdb.sql(f"SELECT * FROM '{file}'").df()), result)


def test_numpy(run: Run, result: pd.DataFrame, tmp_path: Path) -> None:
    file = exported(run, tmp_path / "fruits.npy")
    names = pd.read_csv(file.with_suffix(".csv"))
    check(pd.concat([names, pd.DataFrame(np.load(file), columns=COLUMNS)], axis=1), result)
