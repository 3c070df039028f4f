"""A result that is not whole, or not right, is never published."""

import io
from copy import deepcopy
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.verification import VerificationError, verify
from tests.unit.conftest import BUCKET

COMPONENTS = pa.list_(pa.float32())


class Result:
    """A run's files and metrics, right until a test spoils them."""

    def __init__(self) -> None:
        self.features: list[tuple[str, list[float]]] = [("a", [1.0, 2.0]), ("b", [3.0, 4.0])]
        self.rejected: list[tuple[str, str | None]] = [("c", "empty")]
        self.found = 3
        self.featurized: Any = {"processed": 2, "rejected": 1}
        self.reduced: Any = {"explained_variance_ratio": [0.6, 0.3], "explained_variance": 0.9}

    def check(self, s3: Any, layout: RunLayout, parameters: RunParameters) -> dict[str, int]:
        paths, vectors = zip(*self.features, strict=True) if self.features else ((), ())
        table = pa.table({"path": pa.array(paths, pa.string()), "features": pa.array(vectors, COMPONENTS)})
        _put(s3, layout.pca_output, table)
        names, reasons = zip(*self.rejected, strict=True) if self.rejected else ((), ())
        _put(
            s3,
            layout.rejected,
            pa.table({"path": pa.array(names, pa.string()), "reason": pa.array(reasons, pa.string())}),
        )
        return verify(s3, layout, parameters, self.found, deepcopy(self.featurized), deepcopy(self.reduced))


def _put(s3: Any, prefix: str, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}part-0.parquet", Body=buffer.getvalue())
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}_SUCCESS", Body=b"")


def test_a_right_result_is_accepted(s3: Any, layout: RunLayout, parameters: RunParameters) -> None:
    assert Result().check(s3, layout, parameters) == {"processed": 2, "rejected": 1}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: r.features.pop(), "3 images were found, but 1 were processed and 1 rejected"),
        (lambda r: r.features.append(("a", [5.0, 6.0])), "'a' stands twice in PCA output"),
        (
            lambda r: r.rejected.append(("a", "corrupt")),
            "'a' stands twice in the processed and rejected images",
        ),
        (lambda r: r.features.__setitem__(0, ("a", [1.0])), "rows of .* values where 2 were asked for"),
        (lambda r: r.features.__setitem__(0, ("a", [1.0, float("nan")])), "values that are not finite"),
        (lambda r: r.features.__setitem__(0, ("a", [1.0, float("inf")])), "values that are not finite"),
        (lambda r: r.rejected.__setitem__(0, ("c", None)), "a rejected image has no reason"),
        (
            lambda r: r.featurized.update(processed=3),
            "counted 3 processed and 1 rejected images, but 2 and 1",
        ),
        (
            lambda r: r.reduced.update(explained_variance_ratio=[0.9]),
            "1 explained variance ratios .* 2 components",
        ),
        (lambda r: r.reduced.update(explained_variance=0.95), "sum to 0.9"),
        (
            lambda r: r.reduced.update(explained_variance_ratio=[0.2, 0.1], explained_variance=0.3),
            "keep 0.3000 of the variance, less than minimum_variance 0.5: raise components",
        ),
    ],
)
def test_a_spoilt_result_is_refused(
    spoil: Any, sentence: str, s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    result = Result()
    spoil(result)
    with pytest.raises(VerificationError, match=sentence):
        result.check(s3, layout, parameters)


def test_all_of_the_variance_can_be_asked_for(s3: Any, layout: RunLayout, parameters: RunParameters) -> None:
    """Though the ratios, rounded one by one, sum to a little less than 1."""
    result = Result()
    ratios = [0.7, 0.3 - 1e-12]
    result.reduced = {"explained_variance_ratio": ratios, "explained_variance": sum(ratios)}
    assert sum(ratios) < 1
    result.check(s3, layout, parameters.model_copy(update={"minimum_variance": 1.0}))


def test_a_missing_output_is_refused(s3: Any, layout: RunLayout, parameters: RunParameters) -> None:
    right = Result()
    with pytest.raises(VerificationError, match="3 images were found, but 0 were processed and 0 rejected"):
        verify(s3, layout, parameters, 3, right.featurized, right.reduced)
