"""Promise: a Spark ML PCA model by either solver, and a minimum variance that says which k would do."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.report_schema import ReduceMetrics
from fruit_contract.variance import components_for
from fruit_spark.pca.stored_model import read_matrix
from fruit_spark.step_errors import StepError
from fruit_spark.steps.reduce_job import ReduceSettings, reduce
from tests.fruit_spark.conftest import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 60


def write_features(folder: Path, features: npt.NDArray[np.float32], rejected: int = 0) -> str:
    """The Parquet of a featurize step with these features and some rejected images."""
    rows = [[float(value) for value in row] for row in features] + [None] * rejected
    count = len(rows)
    columns = {
        "path": pa.array([f"/photos/Kiwi/{n}.jpg" for n in range(count)]),
        "label": pa.array(["Kiwi"] * count),
        "features": pa.array(rows, pa.list_(pa.float32())),
        "reason": pa.array([None] * len(features) + ["corrupt"] * rejected, pa.string()),
    }
    folder.mkdir(parents=True)
    pq.write_table(pa.table(columns), folder / "part-0.parquet")
    return str(folder)


@pytest.fixture(scope="module")
def values() -> npt.NDArray[np.float32]:
    """float32 [60, 1280] with a spectrum that falls by a tenth from one direction to the next."""
    chance = np.random.default_rng(3)
    factors = chance.normal(size=(ROWS, ROWS)) * 0.9 ** np.arange(ROWS)
    return (factors @ chance.normal(size=(ROWS, 1280)) + 2).astype(np.float32)


@pytest.fixture(params=["blocks", "spark"])
def settings(
    tmp_path: Path, values: npt.NDArray[np.float32], request: pytest.FixtureRequest
) -> ReduceSettings:
    return ReduceSettings(
        features=write_features(tmp_path / "features", values, rejected=5),
        output=str(tmp_path / "output"),
        model_output=str(tmp_path / "model"),
        metrics=str(tmp_path / "reduce.json"),
        plot=str(tmp_path / "variance.png"),
        overview=str(tmp_path / "overview.json"),
        neighbours=str(tmp_path / "model" / "neighbours"),
        components=16,
        min_variance=0.5,
        solver=request.param,
        time_limit=None,
    )


def spectrum(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    squares = np.linalg.svd(centred, compute_uv=False) ** 2
    return squares / squares.sum()


def test_components_model_and_variance_are_those_of_the_data(
    spark: "SparkSession", settings: ReduceSettings, values: npt.NDArray[np.float32]
) -> None:
    from pyspark.ml.feature import PCAModel

    metrics = reduce(spark, settings)

    assert set(metrics) == ReduceMetrics.__required_keys__
    assert json.loads(Path(settings.metrics).read_text()) == metrics
    assert metrics["rows"] == ROWS
    assert 0 < metrics["startup_seconds"] < metrics["seconds"]
    assert 0 < metrics["task_seconds"] <= metrics["cores"] * metrics["seconds"]
    expected = spectrum(values)
    np.testing.assert_allclose(metrics["explained_variance_ratio"], expected[:16], atol=1e-9)
    assert metrics["components_for_minimum"] == components_for(expected.tolist(), 0.5)
    assert metrics["share_asked"] is None
    assert Path(settings.plot).read_bytes().startswith(b"\x89PNG")
    output = pq.read_table(settings.output)
    sample = json.loads(Path(settings.overview).read_text())["sample"]
    assert sorted(photo["key"] for photo in sample) == sorted(output.column("path").to_pylist())
    indexed = pq.read_table(settings.neighbours)
    assert sorted(indexed.column("key").to_pylist()) == sorted(output.column("path").to_pylist())
    assert {len(vector) for vector in indexed.column("vector").to_pylist()} == {16}
    assert output.column_names == ["path", "label", "features"]
    assert output.schema.field("features").type.value_type == pa.float32()
    reduced = np.array(output.column("features").to_pylist())
    assert reduced.shape == (ROWS, 16)
    model = PCAModel.load(settings.model_output)
    # Spark's convention: not centred before the transform.
    order = [int(Path(path).stem) for path in output.column("path").to_pylist()]
    assert sorted(order) == list(range(ROWS))
    np.testing.assert_allclose(
        reduced, values[order].astype(np.float64) @ model.pc.toArray(), rtol=1e-4, atol=1e-3
    )
    from pyspark.ml.linalg import Vectors

    frame = spark.createDataFrame([(Vectors.dense(values[order[0]].tolist()),)], [model.getInputCol()])
    transformed = model.transform(frame).first()[model.getOutputCol()].toArray()
    np.testing.assert_allclose(reduced[0], transformed, rtol=1e-6, atol=1e-6)

    # Repeated: the same rows, none twice.
    reduce(spark, settings)
    again = pq.read_table(settings.output)
    assert again.sort_by("path").equals(output.sort_by("path"))


@pytest.mark.parametrize("share", [0.3, 0.8, 0.95, 0.999])
def test_a_share_keeps_as_many_components_as_scikit_learn_keeps(
    spark: "SparkSession", settings: ReduceSettings, values: npt.NDArray[np.float32], share: float
) -> None:
    from sklearn.decomposition import PCA

    peer = PCA(n_components=share, svd_solver="full").fit(values.astype(np.float64))
    metrics = reduce(spark, dataclasses.replace(settings, components=share, min_variance=share))

    assert (metrics["components"], metrics["share_asked"]) == (peer.n_components_, share)
    np.testing.assert_allclose(metrics["explained_variance_ratio"], peer.explained_variance_ratio_, atol=1e-9)
    output = pq.read_table(settings.output)
    reduced = np.array(output.column("features").to_pylist())
    assert reduced.shape == (ROWS, peer.n_components_)
    order = [int(Path(path).stem) for path in output.column("path").to_pylist()]
    scores = peer.transform(values.astype(np.float64))[order]
    # Spark's convention: not centred before the transform. The sign of a component is free.
    centred = reduced - reduced.mean(axis=0)
    signs = np.sign((centred * scores).sum(axis=0))
    np.testing.assert_allclose(centred * signs, scores, atol=1e-3)


def test_scaled_features_give_what_scikit_learn_s_pipeline_gives(
    spark: "SparkSession", settings: ReduceSettings, values: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    """One feature varies a thousand times as much as the others, and one never does."""
    from pyspark.ml import PipelineModel
    from pyspark.ml.linalg import Vectors
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    uneven = values.copy()
    uneven[:, 0] *= 1000
    uneven[:, 1] = 7
    exact = uneven.astype(np.float64)
    peer = make_pipeline(StandardScaler(), PCA(n_components=16, svd_solver="full")).fit(exact)
    features = write_features(tmp_path / "uneven", uneven)
    metrics = reduce(spark, dataclasses.replace(settings, features=features, scaling="standard"))

    assert metrics["scaling"] == "standard"
    np.testing.assert_allclose(
        metrics["explained_variance_ratio"], peer[-1].explained_variance_ratio_, atol=1e-9
    )
    frame = spark.createDataFrame([(Vectors.dense(row.tolist()),) for row in exact], ["vector"])
    loaded = PipelineModel.load(settings.model_output)
    given = np.array([row["components"].toArray() for row in loaded.transform(frame).collect()])
    # Spark's convention: not centred before the transform. The sign of a component is free.
    centred, scores = given - given.mean(axis=0), peer.transform(exact)
    signs = np.sign((centred * scores).sum(axis=0))
    np.testing.assert_allclose(centred * signs, scores, atol=1e-6)
    output = pq.read_table(settings.output)
    order = [int(Path(path).stem) for path in output.column("path").to_pylist()]
    written = np.array(output.column("features").to_pylist())
    np.testing.assert_allclose(written, given[order], rtol=1e-6, atol=1e-5)
    # Whoever knows no scaling reads one matrix.
    np.testing.assert_allclose(exact @ read_matrix(settings.model_output), given, atol=1e-9)


def test_too_little_variance_names_the_k_that_would_do(
    spark: "SparkSession", settings: ReduceSettings, values: npt.NDArray[np.float32]
) -> None:
    enough = components_for(spectrum(values).tolist(), 0.9)
    with pytest.raises(
        StepError, match=f"2 components keep 0\\.\\d+.*minimum 0.9.*Set components to {enough}"
    ):
        reduce(spark, dataclasses.replace(settings, components=2, min_variance=0.9))
    assert json.loads(Path(settings.metrics).read_text())["components_for_minimum"] is None
    assert Path(settings.plot).exists()
    assert not Path(settings.output).exists()


def test_where_images_are_too_few_the_most_components_are_kept_if_that_was_allowed(
    spark: "SparkSession", settings: ReduceSettings
) -> None:
    # Nor is a page of the result needed.
    few = dataclasses.replace(
        settings, components=256, min_variance=1.0, fewer_components=True, overview=None, neighbours=None
    )
    metrics = reduce(spark, few)
    assert metrics["components"] == len(metrics["explained_variance_ratio"]) == ROWS - 1
    lengths = {len(row) for row in pq.read_table(settings.output).column("features").to_pylist()}
    assert lengths == {ROWS - 1}


def test_more_components_than_images_end_the_command_with_one_sentence(
    settings: ReduceSettings, spark_environment: dict[str, str]
) -> None:
    arguments = ["--features", settings.features, "--output", settings.output, "--metrics", settings.metrics]
    arguments += ["--model-output", settings.model_output, "--plot", settings.plot, "--components", "256"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "spark" / "reduce.py"), *arguments],
        env={**os.environ, **spark_environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: 256 components need more images than that, and 60 were featurized")
    assert "Traceback" not in done.stderr


def test_equal_images_have_no_variance_to_keep(
    spark: "SparkSession", settings: ReduceSettings, tmp_path: Path
) -> None:
    same = write_features(tmp_path / "same", np.ones((5, 1280), np.float32))
    with pytest.raises(StepError, match="no variance"):
        reduce(spark, dataclasses.replace(settings, features=same, components=2))
    with pytest.raises(StepError, match="no variance"):
        reduce(spark, dataclasses.replace(settings, features=same, components=0.9))


def test_missing_features_are_said_so(
    spark: "SparkSession", settings: ReduceSettings, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match="run the featurize step first"):
        reduce(spark, dataclasses.replace(settings, features=str(tmp_path / "none")))
