"""Check what a run wrote on S3 before it is published."""

import hashlib
import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fruit_contract.layout import RunLayout
from fruit_contract.manifest import DEAD, LIVE
from fruit_contract.report_schema import FeaturizeMetrics, ReduceMetrics
from fruit_contract.variance import components_kept, reaches
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.run_plan import RunPlan
from fruit_pipeline.results.tables import batches_under, rows_of
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
) -> dict[str, int]:
    """Read the run's Parquet and compare it with what was planned and what the steps said.

    ``featurized`` is None where there was nothing to featurize. Returns the counts of processed and
    rejected images, as read.
    """
    components = components_kept(reduced["rows"], parameters.components, plan["fewer_components"])
    processed, paths = _check_components(s3, layout, components)
    live = paths.copy()
    rejected = _count_rejected(s3, layout, paths)
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
    _check_manifest(s3, layout, live, rejected)
    if featurized is not None:
        _check_featurized(plan, featurized)
    ratios = reduced["explained_variance_ratio"]
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
    return {"processed": processed, "rejected": rejected}


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


def _check_manifest(s3: Any, layout: RunLayout, live: set[bytes], rejected: int) -> None:
    """The manifest names exactly the photos that have a row, in the order of their keys."""
    named, refused, last, last_named = 0, 0, "", None
    for key, state in rows_of(
        batches_under(s3, layout.bucket, layout.manifest, ["key", "state"]), ("key", "state")
    ):
        _require(key >= last, f"the manifest has {key!r} after {last!r}, out of their order")
        last = key
        if state == DEAD:
            continue
        _require(key != last_named, f"{key!r} stands twice in the manifest")
        last_named = key
        if state == LIVE:
            named += 1
            _require(_digest(layout.uri(key)) in live, f"{key!r} is in the manifest but has no row")
        else:
            refused += 1
    _require(
        (named, refused) == (len(live), rejected),
        f"the manifest names {named} processed and {refused} rejected images, but {len(live)} and {rejected} "
        "are on S3",
    )


def _check_components(s3: Any, layout: RunLayout, components: int) -> tuple[int, set[bytes]]:
    """Rows of the PCA output, all with ``components`` finite values; and a digest of every path."""
    seen: set[bytes] = set()
    rows = 0
    for batch in batches_under(s3, layout.bucket, layout.pca_output, ["path", "features"]):
        features = batch.column("features")
        lengths = pc.unique(pc.list_value_length(features)).to_pylist()
        _require(
            lengths == [components],
            f"PCA output has rows of {lengths} values where {components} were asked for",
        )
        finite = pc.all(pc.is_finite(pc.list_flatten(features))).as_py()
        _require(finite is True, "PCA output has values that are not finite")
        rows += batch.num_rows
        _add_unique(seen, batch.column("path"), "PCA output")
    return rows, seen


def _count_rejected(s3: Any, layout: RunLayout, processed: set[bytes]) -> int:
    rows = 0
    for batch in batches_under(s3, layout.bucket, layout.rejected, ["path", "reason"]):
        _require(batch.column("reason").null_count == 0, "a rejected image has no reason")
        _add_unique(processed, batch.column("path"), "the processed and rejected images")
        rows += batch.num_rows
    return rows


def _add_unique(seen: set[bytes], paths: pa.Array, where: str) -> None:
    """Remember paths by a 16-byte digest, so that millions of long keys fit into memory."""
    for path in paths.to_pylist():
        digest = _digest(path)
        _require(digest not in seen, f"{path!r} stands twice in {where}")
        seen.add(digest)


def _digest(path: str) -> bytes:
    return hashlib.blake2b(path.encode(), digest_size=16).digest()


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise VerificationError(f"The result is not published: {sentence}.")
