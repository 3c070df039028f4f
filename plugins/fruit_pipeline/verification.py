"""Whether what a run wrote on S3 is whole and right. Nothing is published before it is."""

import hashlib
import math
import tempfile
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fruit_contract.layout import RunLayout
from fruit_contract.report import FeaturizeMetrics, ReduceMetrics
from fruit_contract.variance import reaches
from fruit_pipeline.parameters import RunParameters


class VerificationError(RuntimeError):
    """The result of the run is not whole or not right; the message gives the figures."""


def verify(
    s3: Any,
    layout: RunLayout,
    parameters: RunParameters,
    found: int,
    featurized: FeaturizeMetrics,
    reduced: ReduceMetrics,
) -> dict[str, int]:
    """Read the run's Parquet and compare it with what was planned and what the steps said.

    Returns the counts of processed and rejected images, as read.
    """
    processed, paths = _check_components(s3, layout, parameters.components)
    rejected = _count_rejected(s3, layout, paths)
    _require(
        found == processed + rejected,
        f"{found} images were found, but {processed} were processed and {rejected} rejected",
    )
    _require(
        (featurized["processed"], featurized["rejected"]) == (processed, rejected),
        f"the featurize step counted {featurized['processed']} processed and {featurized['rejected']} "
        f"rejected images, but {processed} and {rejected} are on S3",
    )
    ratios = reduced["explained_variance_ratio"]
    _require(
        len(ratios) == parameters.components,
        f"{len(ratios)} explained variance ratios were reported for {parameters.components} components",
    )
    kept = reduced["explained_variance"]
    _require(
        math.isclose(sum(ratios), kept, abs_tol=1e-9) and all(0 <= ratio <= 1 for ratio in ratios),
        f"the explained variance ratios sum to {sum(ratios):.6f}, but {kept:.6f} was reported",
    )
    _require(
        reaches(kept, parameters.minimum_variance),
        f"{parameters.components} components keep {kept:.4f} of the variance, less than minimum_variance "
        f"{parameters.minimum_variance:g}: raise components or lower minimum_variance",
    )
    return {"processed": processed, "rejected": rejected}


def _check_components(s3: Any, layout: RunLayout, components: int) -> tuple[int, set[bytes]]:
    """Rows of the PCA output, all with ``components`` finite values; and a digest of every path."""
    seen: set[bytes] = set()
    rows = 0
    for batch in _batches(s3, layout, layout.pca_output, ["path", "features"]):
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
    for batch in _batches(s3, layout, layout.rejected, ["path", "reason"]):
        _require(batch.column("reason").null_count == 0, "a rejected image has no reason")
        _add_unique(processed, batch.column("path"), "the processed and rejected images")
        rows += batch.num_rows
    return rows


def _add_unique(seen: set[bytes], paths: pa.Array, where: str) -> None:
    """Remember paths by a 16-byte digest, so that millions of long keys fit into memory."""
    for path in paths.to_pylist():
        digest = hashlib.blake2b(path.encode(), digest_size=16).digest()
        _require(digest not in seen, f"{path!r} stands twice in {where}")
        seen.add(digest)


def _batches(s3: Any, layout: RunLayout, prefix: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows under a prefix, file by file, a bounded number at a time."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=layout.bucket, Prefix=prefix):
        for entry in page.get("Contents", []):
            if not entry["Key"].endswith(".parquet"):
                continue
            with tempfile.TemporaryFile() as stream:
                s3.download_fileobj(layout.bucket, entry["Key"], stream)
                yield from pq.ParquetFile(stream).iter_batches(batch_size=8192, columns=columns)


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise VerificationError(f"The result is not published: {sentence}.")
