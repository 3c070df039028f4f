"""A result that is not whole, or not right, is never published."""

import hashlib
import io
from array import array
from copy import deepcopy
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fruit_contract.layout import RunLayout
from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_pipeline.photos.manifest_merge import Row
from fruit_pipeline.results.manifests import MANIFEST_SCHEMA
from fruit_pipeline.results.publication import write_json
from fruit_pipeline.results.verification import VerificationError, verify
from fruit_pipeline.settings.parameters import RunParameters
from tests.fruit_pipeline.conftest import BUCKET, planned

A, B, C = (f"s3://{BUCKET}/{key}" for key in "abc")
COMPONENTS = pa.list_(pa.float32())


class Result:
    """A run's files and metrics, right until a test spoils them."""

    def __init__(self) -> None:
        self.features: list[tuple[str, list[float]]] = [(A, [1.0, 2.0]), (B, [3.0, 4.0])]
        self.rejected: list[tuple[str, str | None]] = [(C, "empty")]
        self.manifest = [
            Row("a", "0", 1, DEAD, None, "run=0"),
            Row("a", "1", 1, LIVE, None, "run=0"),
            Row("b", "1", 1, LIVE, None, "run=run-1"),
            Row("c", "1", 1, REJECTED, "empty", ""),
            Row("d", "1", 1, DEAD, None, "run=0"),
        ]
        self.planned = planned(3, new=1, changed=1, reused=1)
        self.featurized: Any = {"processed": 1, "rejected": 1, "model": {"fingerprint": "f" * 64}}
        self.reduced: Any = {
            "rows": 2,
            "rejected": 1,
            "components": 2,
            "scaling": "none",
            "explained_variance_ratio": [0.6, 0.3],
            "explained_variance": 0.9,
        }

        self.labels = ["Apple", "Kiwi"]
        self.trained: Any = None
        self.card: Any = None

    def with_classifier(self) -> None:
        """Learn one on this result's PCA: two components of three features, stored column by column."""
        by_rows = array("d", [1.0, 4.0, 2.0, 5.0, 3.0, 6.0])
        pca = hashlib.sha256(by_rows.tobytes()).hexdigest()
        self.trained = {"skipped": None, "kind": "linear", "pca": pca}
        self.card = {
            "run_key": "run-1",
            "kind": "linear",
            "labels": ["Apple", "Kiwi"],
            "model": {"fingerprint": "f" * 64},
            "pca": pca,
        }

    def check(self, s3: Any, layout: RunLayout, parameters: RunParameters) -> dict[str, int]:
        paths, vectors = zip(*self.features, strict=True) if self.features else ((), ())
        labels = (self.labels * len(paths))[: len(paths)]
        columns = {"path": pa.array(paths, pa.string()), "label": pa.array(labels, pa.string())}
        _put(s3, layout.pca_output, pa.table({**columns, "features": pa.array(vectors, COMPONENTS)}))
        matrix = {"type": 1, "numRows": 3, "numCols": 2, "values": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
        _put(s3, f"{layout.pca_model}data/", pa.table({"pc": pa.array([{**matrix, "isTransposed": False}])}))
        if self.card:
            write_json(s3, BUCKET, f"{layout.classifier}classifier.json", self.card)
        names, reasons = zip(*self.rejected, strict=True) if self.rejected else ((), ())
        _put(
            s3,
            layout.rejected,
            pa.table({"path": pa.array(names, pa.string()), "reason": pa.array(reasons, pa.string())}),
        )
        manifest = pa.Table.from_pylist([row._asdict() for row in self.manifest], schema=MANIFEST_SCHEMA)
        _put(s3, layout.manifest, manifest)
        steps = (deepcopy(self.featurized), self.reduced, self.trained)
        return verify(s3, layout, parameters, self.planned, *steps)


def _put(s3: Any, prefix: str, table: pa.Table) -> None:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}part-0.parquet", Body=buffer.getvalue())
    s3.put_object(Bucket=BUCKET, Key=f"{prefix}_SUCCESS", Body=b"")


def test_a_right_result_is_accepted(s3: Any, layout: RunLayout, parameters: RunParameters) -> None:
    assert Result().check(s3, layout, parameters) == {"processed": 2, "rejected": 1}


def test_fewer_components_than_asked_for_are_right_only_where_the_photos_allow_no_more(
    s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    asked = parameters.model_copy(update={"components": 3})
    result = Result()
    with pytest.raises(VerificationError, match=r"\[2\] values where 3 were asked for"):
        result.check(s3, layout, asked)
    result.planned["fewer_components"] = True
    with pytest.raises(VerificationError, match=r"\[2\] values where 1 were asked for"):
        result.check(s3, layout, asked)  # two photos have one direction
    result.features = [(A, [1.0]), (B, [3.0])]
    result.reduced.update(components=1, explained_variance_ratio=[0.9])
    assert result.check(s3, layout, asked) == {"processed": 2, "rejected": 1}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: r.features.pop(), "3 images were found, but 1 were processed and 1 rejected"),
        (
            lambda r: r.features.append((A, [5.0, 6.0])),
            "3 images were found, but 3 were processed and 1 rejected",
        ),
        (
            lambda r: r.features.__setitem__(1, (A, [5.0, 6.0])),
            "/(a' stands twice among the processed images|b' is in the manifest but has no row)",
        ),
        (
            lambda r: r.features.__setitem__(1, (C, [5.0, 6.0])),
            "/(c' is among the processed images but not in|b' is in) the manifest",
        ),
        (
            lambda r: r.rejected.__setitem__(0, (A, "corrupt")),
            "/a' is among the rejected images but not in the manifest",
        ),
        (lambda r: r.features.__setitem__(0, (A, [1.0])), "rows of .* values where 2 were asked for"),
        (lambda r: r.features.__setitem__(0, (A, [1.0, float("nan")])), "values that are not finite"),
        (lambda r: r.features.__setitem__(0, (A, [1.0, float("inf")])), "values that are not finite"),
        (lambda r: r.rejected.__setitem__(0, (C, None)), "a rejected image has no reason"),
        (
            lambda r: r.reduced.update(rows=3),
            "the reduce step counted 3 processed and 1 rejected images, but 2 and 1",
        ),
        (
            lambda r: r.featurized.update(processed=3),
            "2 images were to be featurized, but 3 were processed and 1 rejected",
        ),
        (
            lambda r: r.featurized["model"].update(fingerprint="e" * 64),
            "are of the model eeeeeeeeeeee, and the run was planned for ffffffffffff: the model was replaced",
        ),
        (lambda r: r.manifest.pop(2), "names 1 processed and 1 rejected images, but 2 and 1 are on S3"),
        (lambda r: r.manifest.pop(3), "names 2 processed and 0 rejected images, but 2 and 1 are on S3"),
        (
            lambda r: r.manifest.__setitem__(2, Row("bb", "1", 1, LIVE, None, "run=run-1")),
            "/(bb' is in|b' is among the processed images but not in) the manifest",
        ),
        (lambda r: r.manifest.insert(2, r.manifest[1]), "'a' stands twice in the manifest"),
        (lambda r: r.manifest.reverse(), "has 'c' after 'd', out of their order"),
        (lambda r: r.reduced.update(scaling="standard"), "scaled by 'standard', and 'none' was asked for"),
        (lambda r: r.reduced.update(components=3), "3 components were reported, and 2 were asked for"),
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


@pytest.mark.parametrize("share", [0.7, 0.9])
def test_the_fewest_components_that_keep_a_share_are_right(
    share: float, s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    asked = parameters.model_copy(update={"components": share})
    assert Result().check(s3, layout, asked) == {"processed": 2, "rejected": 1}


@pytest.mark.parametrize(
    ("share", "reduced", "sentence"),
    [
        (0.95, {}, "2 components keep 0.9000 of the variance, and 0.95 was asked for"),
        (0.6, {}, "2 components were kept, and 1 keep the share of the variance that was asked for, 0.6"),
        (0.7, {"components": 3}, "3 components were reported, and 2 were asked for"),
        (0.55, {"explained_variance_ratio": [0.9]}, r"rows of \[2\] values where 1 were asked for"),
    ],
)
def test_any_other_number_of_components_is_wrong_for_a_share(
    share: float,
    reduced: dict[str, Any],
    sentence: str,
    s3: Any,
    layout: RunLayout,
    parameters: RunParameters,
) -> None:
    result = Result()
    result.reduced |= reduced
    with pytest.raises(VerificationError, match=sentence):
        result.check(s3, layout, parameters.model_copy(update={"components": share}))


def test_a_classifier_of_the_result_is_accepted(
    s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    result = Result()
    result.with_classifier()
    assert result.check(s3, layout, parameters) == {"processed": 2, "rejected": 1}


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda r: setattr(r, "card", None), "the train step left no classifier.json in s3://"),
        (lambda r: r.card.update(run_key="run-0"), "the classifier is of the run run-0, not of this one"),
        (lambda r: r.card.update(kind="forest"), "the classifier is forest, and linear was asked for"),
        (lambda r: r.trained.update(kind="forest"), "and linear was asked for"),
        (
            lambda r: r.card["model"].update(fingerprint="e" * 64),
            "features of the model eeeeeeeeeeee, and the result has those of ffffffffffff",
        ),
        (lambda r: r.card.update(pca="a" * 64), "is for the PCA aaaaaaaaaaaa, and the result has "),
        (lambda r: r.card["labels"].append("Plum"), r"labels that the result has not, such as \['Plum'\]"),
        (lambda r: r.card.update(labels=[]), "the classifier has no labels"),
        (lambda r: r.trained.update(skipped="There is 1 label."), "the train step said: There is 1 label"),
    ],
)
def test_a_classifier_of_anything_else_is_refused(
    spoil: Any, sentence: str, s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    result = Result()
    result.with_classifier()
    spoil(result)
    with pytest.raises(VerificationError, match=sentence):
        result.check(s3, layout, parameters)


def test_a_result_for_which_no_classifier_could_be_learnt_is_accepted(
    s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    result = Result()
    result.trained = {"skipped": "There is 1 label.", "kind": "linear", "pca": None}
    assert result.check(s3, layout, parameters) == {"processed": 2, "rejected": 1}


def test_all_of_the_variance_can_be_asked_for(s3: Any, layout: RunLayout, parameters: RunParameters) -> None:
    """Though the ratios, rounded one by one, sum to a little less than 1."""
    result = Result()
    ratios = [0.7, 0.3 - 1e-12]
    result.reduced |= {"explained_variance_ratio": ratios, "explained_variance": sum(ratios)}
    assert sum(ratios) < 1
    result.check(s3, layout, parameters.model_copy(update={"minimum_variance": 1.0}))


def test_a_missing_output_is_refused(s3: Any, layout: RunLayout, parameters: RunParameters) -> None:
    right = Result()
    with pytest.raises(VerificationError, match="3 images were found, but 0 were processed and 0 rejected"):
        verify(s3, layout, parameters, right.planned, right.featurized, right.reduced)


def test_a_run_with_nothing_to_featurize_is_accepted(
    s3: Any, layout: RunLayout, parameters: RunParameters
) -> None:
    result = Result()
    result.planned, result.featurized = planned(3, new=0, reused=3, deleted=1), None
    assert result.check(s3, layout, parameters) == {"processed": 2, "rejected": 1}
