"""Check what a run wrote on S3 before it is published, in memory that does not grow with the photos.

Of the vectors, the reduce step has looked at each value; here the first ones of every file are.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import pyarrow.compute as pc

from fruit_contract.classifier import CARD_NAME, ClassifierCard, TrainMetrics
from fruit_contract.layout import RunLayout
from fruit_contract.manifest import DEAD, LIVE, REJECTED
from fruit_contract.report_schema import FeaturizeMetrics, ReduceMetrics
from fruit_contract.variance import is_share, reaches, right_components
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results import pca_matrix
from fruit_pipeline.results.publication import read_json
from fruit_pipeline.results.row_sums import RowSums, slice_and_digest
from fruit_pipeline.results.run_plan import RunPlan
from fruit_pipeline.results.tables import batches_under, column_under, first_rows_under, rows_of
from fruit_pipeline.settings.parameters import RunParameters


class VerificationError(PipelineError):
    """The result of the run is not whole or not right; the message gives the figures."""


def verify(
    s3: Any,
    layout: RunLayout,
    parameters: RunParameters,
    plan: RunPlan,
    featurized: FeaturizeMetrics | None,
    reduced: ReduceMetrics,
    trained: TrainMetrics | None = None,
) -> dict[str, int]:
    """Read the run's Parquet and compare it with what was planned and what the steps said.

    ``featurized`` is None where there was nothing to featurize, ``trained`` where no classifier was asked
    for. Returns the counts of processed and rejected images, as read.
    """
    components = _components(parameters, plan, reduced)
    _check_vectors(s3, layout, components)
    names = _Names(s3, layout)
    with_row, refused = _sums(names.with_row()), _sums(names.refused())
    processed, rejected = with_row.rows, refused.rows
    images = plan["images"]
    _require(
        images == processed + rejected,
        f"{images} images were found, but {processed} were processed and {rejected} rejected",
    )
    _require(
        (reduced["rows"], reduced["rejected"]) == (processed, rejected),
        f"the reduce step counted {reduced['rows']} processed and {reduced['rejected']} rejected images, but "
        f"{processed} and {rejected} are on S3",
    )
    named, not_named = RowSums(), RowSums()
    for name, state in names.of_manifest():
        (named if state == LIVE else not_named).add((name,))
    _require(
        (named.rows, not_named.rows) == (processed, rejected),
        f"the manifest names {named.rows} processed and {not_named.rows} rejected images, but {processed} "
        f"and {rejected} are on S3",
    )
    _check_same(names, named.differing_slice(with_row), names.with_row, LIVE, "has no row")
    _check_same(names, not_named.differing_slice(refused), names.refused, REJECTED, "was not rejected")
    if featurized is not None:
        _check_featurized(plan, featurized)
    _require(
        reduced["scaling"] == parameters.scaling,
        f"the features were scaled by {reduced['scaling']!r}, and {parameters.scaling!r} was asked for",
    )
    ratios = reduced["explained_variance_ratio"]
    _require(
        reduced["components"] == components,
        f"{reduced['components']} components were reported, and {components} were asked for",
    )
    _require(
        len(ratios) == components,
        f"{len(ratios)} explained variance ratios were reported for {components} components",
    )
    kept = reduced["explained_variance"]
    _require(
        math.isclose(sum(ratios), kept, abs_tol=1e-9) and all(0 <= ratio <= 1 for ratio in ratios),
        f"the explained variance ratios sum to {sum(ratios):.6f}, but {kept:.6f} was reported",
    )
    _require(
        reaches(kept, parameters.minimum_variance),
        f"{components} components keep {kept:.4f} of the variance, less than minimum_variance "
        f"{parameters.minimum_variance:g}: raise components or lower minimum_variance",
    )
    if trained is not None:
        _check_classifier(s3, layout, parameters, plan, trained)
    return {"processed": processed, "rejected": rejected}


def _components(parameters: RunParameters, plan: RunPlan, reduced: ReduceMetrics) -> int:
    """How many the result must have: those asked for, or the fewest that keep the share asked for."""
    asked, ratios = parameters.components, reduced["explained_variance_ratio"]
    components = right_components(ratios, asked, reduced["rows"], plan["fewer_components"])
    if components is None:
        raise VerificationError(
            f"The result is not published: {len(ratios)} components keep {sum(ratios):.4f} of the variance, "
            f"and {asked} was asked for."
        )
    _require(
        not is_share(asked) or components == len(ratios),
        f"{len(ratios)} components were kept, and {components} keep the share of the variance that was asked "
        f"for, {asked}",
    )
    return components


def _check_featurized(plan: RunPlan, featurized: FeaturizeMetrics) -> None:
    """The work of this run, which is part of the result, was done whole and with the planned model."""
    work = plan["new"] + plan["changed"]
    _require(
        featurized["processed"] + featurized["rejected"] == work,
        f"{work} images were to be featurized, but {featurized['processed']} were processed and "
        f"{featurized['rejected']} rejected",
    )
    used, asked = featurized["model"]["fingerprint"], plan["features"]["fingerprint"]
    _require(
        used == asked,
        f"the features are of the model {used[:12]}, and the run was planned for {asked[:12]}: the model was "
        "replaced meanwhile, so trigger a new run",
    )


def _check_classifier(
    s3: Any, layout: RunLayout, parameters: RunParameters, plan: RunPlan, trained: TrainMetrics
) -> None:
    """The classifier is what was asked for, of this run's features, PCA and labels; or there is none."""
    card: ClassifierCard | None = read_json(s3, layout.bucket, f"{layout.classifier}{CARD_NAME}")
    if trained["skipped"]:
        _require(card is None, f"there is a classifier, but the train step said: {trained['skipped']}")
        return
    if card is None:
        raise VerificationError(
            f"The result is not published: the train step left no {CARD_NAME} in "
            f"{layout.uri(layout.classifier)}."
        )
    _require(
        card["run_key"] == layout.run_key, f"the classifier is of the run {card['run_key']}, not of this one"
    )
    _require(
        card["kind"] == trained["kind"] == parameters.classifier,
        f"the classifier is {card['kind']}, and {parameters.classifier} was asked for",
    )
    used, asked = card["model"]["fingerprint"], plan["features"]["fingerprint"]
    _require(
        used == asked,
        f"the classifier is for features of the model {used[:12]}, and the result has those of {asked[:12]}",
    )
    matrix = pca_matrix.fingerprint(s3, layout.bucket, layout.pca_model)
    _require(
        card["pca"] == matrix,
        f"the classifier is for the PCA {card['pca'][:12]}, and the result has {matrix[:12]}",
    )
    labels = {
        label for batch in column_under(s3, layout.bucket, layout.pca_output, "label") for label in batch
    }
    strange = sorted(set(card["labels"]) - labels)
    _require(not strange, f"the classifier has labels that the result has not, such as {strange[:1]}")
    _require(bool(card["labels"]), "the classifier has no labels")


class _Names:
    """The names of a result's photos, as often as they are asked for: from S3, a batch at a time."""

    def __init__(self, s3: Any, layout: RunLayout) -> None:
        self._s3, self._layout = s3, layout

    def with_row(self) -> Iterator[list[str]]:
        """Of the PCA output."""
        return column_under(self._s3, self._layout.bucket, self._layout.pca_output, "path")

    def refused(self) -> Iterator[list[str]]:
        """Of the rejected photos, each of which has a reason."""
        for batch in batches_under(self._s3, self._layout.bucket, self._layout.rejected, ["path", "reason"]):
            _require(batch.column("reason").null_count == 0, "a rejected image has no reason")
            yield batch.column("path").to_pylist()

    def of_manifest(self) -> Iterator[tuple[str, str]]:
        """And their states, without those that are gone. The keys are in order, and none stands twice."""
        batches = batches_under(self._s3, self._layout.bucket, self._layout.manifest, ["key", "state"])
        last, last_named = "", None
        for key, state in rows_of(batches, ("key", "state")):
            _require(key >= last, f"the manifest has {key!r} after {last!r}, out of their order")
            last = key
            if state == DEAD:
                continue
            _require(key != last_named, f"{key!r} stands twice in the manifest")
            last_named = key
            yield self._layout.uri(key), state


def _sums(batches: Iterable[list[str]]) -> RowSums:
    sums = RowSums()
    for batch in batches:
        sums.add(batch)
    return sums


def _check_same(
    names: _Names, number: int | None, found: Callable[[], Iterator[list[str]]], state: str, lacks: str
) -> None:
    """Name a photo of the slice in which the manifest and what is on S3 differ, if there is such a slice."""
    if number is None:
        return
    planned = {
        name for name, its in names.of_manifest() if (its == LIVE) == (state == LIVE) and _is_in(number, name)
    }
    written = Counter(name for batch in found() for name in batch if _is_in(number, name))
    for name in written:
        _require(written[name] == 1, f"{name!r} stands twice among the {_WORDS[state]} images")
        _require(name in planned, f"{name!r} is among the {_WORDS[state]} images but not in the manifest")
    for name in planned:
        _require(name in written, f"{name!r} is in the manifest but {lacks}")


_WORDS: Final = {LIVE: "processed", REJECTED: "rejected"}


def _is_in(number: int, name: str) -> bool:
    return slice_and_digest(name)[0] == number


def _check_vectors(s3: Any, layout: RunLayout, components: int) -> None:
    """The first vectors of each file have ``components`` finite values."""
    for vectors in first_rows_under(s3, layout.bucket, layout.pca_output, "features"):
        lengths = pc.unique(pc.list_value_length(vectors)).to_pylist()
        _require(
            lengths == [components],
            f"PCA output has rows of {lengths} values where {components} were asked for",
        )
        finite = pc.all(pc.is_finite(pc.list_flatten(vectors))).as_py()
        _require(finite is True, "PCA output has values that are not finite")


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise VerificationError(f"The result is not published: {sentence}.")
