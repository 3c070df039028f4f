"""Promise: both solvers find the same components, however the rows are spread and wherever they lie."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from fruit_spark.features.feature_files import list_features
from fruit_spark.pca.moments import Moments, full_blocks, moments_of
from fruit_spark.pca.solvers import explained_variance_ratio, fit_blocks, fit_spark, principal_components
from fruit_spark.step_errors import StepError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COMPONENTS = 8


def sample(rows: int, dimensions: int, seed: int = 0, offset: float = 0.0) -> npt.NDArray[np.float32]:
    """Rows whose variance falls by a third from one direction to the next, around ``offset``."""
    chance = np.random.default_rng(seed)
    factors = chance.normal(size=(rows, dimensions)) * 0.67 ** np.arange(dimensions)
    rotation, _ = np.linalg.qr(chance.normal(size=(dimensions, dimensions)))
    return (factors @ rotation + offset).astype(np.float32)


def moments(values: npt.NDArray[np.float32], blocks: int = 1) -> Moments:
    found = Moments.of(np.array_split(values, blocks))
    assert found is not None
    return found


def test_moments_are_those_of_the_rows() -> None:
    values = sample(100, 6)
    exact = values.astype(np.float64)
    found = moments(values, blocks=7)
    assert found.rows == 100
    np.testing.assert_allclose(found.mean, exact.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.scatter, np.cov(exact.T) * 99, rtol=1e-10, atol=1e-12)


def test_small_blocks_are_gathered_into_full_ones_and_no_row_is_lost() -> None:
    values = sample(100, 6)
    gathered = list(full_blocks(np.array_split(values, 33), 40))
    assert [len(block) for block in gathered] == [40, 42, 18]
    np.testing.assert_array_equal(np.concatenate(gathered), values)
    assert list(full_blocks([], 40)) == []


@pytest.mark.parametrize("cut", [1, 37, 99])
def test_merging_parts_gives_the_moments_of_the_whole(cut: int) -> None:
    values = sample(100, 6, offset=3.0)
    merged = moments(values[:cut]).merged(moments(values[cut:]))
    whole = moments(values)
    assert merged.rows == whole.rows
    np.testing.assert_allclose(merged.mean, whole.mean, atol=1e-12)
    np.testing.assert_allclose(merged.scatter, whole.scatter, rtol=1e-9, atol=1e-10)


def test_rows_far_from_zero_lose_nothing_to_cancellation() -> None:
    """A plain sum of squares would keep none of the variance: 1e6 squared leaves it 4 digits of 16."""
    values = sample(500, 4).astype(np.float64)
    far = Moments.of([(values + 1e6)])  # float64 blocks, so that the offset itself rounds nothing away
    near = Moments.of([values])
    assert far is not None
    assert near is not None
    np.testing.assert_allclose(far.scatter, near.scatter, rtol=1e-7, atol=1e-7)


def test_the_rounding_of_a_feature_that_never_varies_is_no_deviation() -> None:
    """A sum of squares that should be 0 may come out on either side of it."""
    found = Moments(100, np.array([5.0, 0.1, 0.1, 0.0]), np.diag([400.0, 1e-28, -1e-28, 0.0]))
    np.testing.assert_array_equal(found.spread, [2.0, 1.0, 1.0, 1.0])


def test_no_rows_have_no_moments() -> None:
    assert Moments.of([]) is None
    assert Moments.of([np.empty((0, 4), np.float32)]) is None


def test_the_sign_of_a_component_is_decided_by_the_data() -> None:
    found = principal_components(moments(sample(200, 12)))
    strongest = np.abs(found.directions).argmax(axis=0)
    assert (found.directions[strongest, np.arange(12)] > 0).all()


def test_components_are_orthonormal_and_their_shares_sum_to_one_when_there_are_few_rows() -> None:
    found = principal_components(moments(sample(5, 12)))
    np.testing.assert_allclose(found.directions.T @ found.directions, np.eye(12), atol=1e-10)
    assert found.ratio.sum() == pytest.approx(1)
    assert (found.ratio[4:] < 1e-9).all(), "five rows span four directions"
    assert (np.diff(found.ratio) <= 1e-15).all()


def test_constant_rows_are_refused() -> None:
    with pytest.raises(StepError, match="no variance"):
        principal_components(moments(np.ones((9, 4), np.float32)))


def spread(
    spark: "SparkSession", folder: Path, values: npt.NDArray[np.float32] | list[None], partitions: int
) -> str:
    """The values as Parquet below ``folder``, in up to ``partitions`` files, and one row without a vector."""
    rows = [(None if row is None else [float(value) for value in row],) for row in [*values, None]]
    written = str(folder / "features of a % b+c")
    spark.createDataFrame(rows, "features array<float>").repartition(partitions).write.parquet(written)
    return written


def read(spark: "SparkSession", folder: str) -> "DataFrame":
    return spark.read.parquet(folder).where("features is not null")


@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_moments_do_not_depend_on_how_the_rows_are_spread(
    spark: "SparkSession", tmp_path: Path, partitions: int
) -> None:
    values = sample(90, 10, offset=5.0)
    found = moments_of(spark, list_features(spark, [spread(spark, tmp_path, values, partitions)]))
    assert found is not None
    assert found.rows == 90
    np.testing.assert_allclose(found.mean, values.astype(np.float64).mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.scatter, moments(values).scatter, rtol=1e-9, atol=1e-9)


def test_no_row_anywhere_has_no_moments(spark: "SparkSession", tmp_path: Path) -> None:
    assert moments_of(spark, list_features(spark, [spread(spark, tmp_path, [], 2)])) is None


@pytest.mark.parametrize(
    "values",
    [sample(120, 24), sample(120, 24, offset=50.0), sample(16, 24), np.repeat(sample(9, 24), 9, axis=0)],
    ids=["plain", "far from zero", "rank deficient", "repeated rows"],
)
def test_both_solvers_agree(spark: "SparkSession", tmp_path: Path, values: npt.NDArray[np.float32]) -> None:
    written = spread(spark, tmp_path, values, 4)
    features, found = read(spark, written), moments_of(spark, list_features(spark, [written]))
    assert found is not None
    blocks, reference = (fit(features, found, COMPONENTS) for fit in (fit_blocks, fit_spark))
    np.testing.assert_allclose(
        explained_variance_ratio(blocks), explained_variance_ratio(reference), atol=1e-9
    )
    basis, other = blocks.pc.toArray(), reference.pc.toArray()
    # The sine of the largest principal angle between the two subspaces; its cosine would hide a small one.
    assert np.linalg.norm(other - basis @ (basis.T @ other), 2) < 1e-6
