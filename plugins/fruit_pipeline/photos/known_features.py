"""The features that need not be computed: of the current result, and of runs that were never published.

A run may fail after its featurize step, as where too few components keep too little variance. What that
step made is whole all the same, and lies where the next run finds it.
"""

import heapq
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

from fruit_contract.layout import ATTEMPT_NAME, FEATURES_PREFIX, FINISHED_NAME, RunLayout
from fruit_contract.report_schema import ModelFacts
from fruit_pipeline.photos.manifest_merge import Row
from fruit_pipeline.results.publication import FeatureIdentity, read_json
from fruit_pipeline.results.recorded_files import source_prefix
from fruit_pipeline.results.tables import batches_of, batches_under, rows_of

_RUN_SOURCE: Final = "run="


@dataclass(frozen=True)
class KnownFeatures:
    """Where the rows of known features lie."""

    manifest: str | None = None
    """The prefix of the current result's manifest; None where its features are not used again."""
    lost: frozenset[str] = frozenset()
    """Sources of that manifest with files that are gone or cut off."""
    unpublished: dict[str, ModelFacts] = field(default_factory=dict)
    """Sources that no result refers to, with what their run said of the model."""

    def rows(self, s3: Any, bucket: str) -> Iterator[Row]:
        """Of all of them, in the order of their keys."""
        columns = Row._fields
        tables = [batches_under(s3, bucket, self.manifest, list(columns))] if self.manifest else []
        tables += [
            batches_of(s3, bucket, f"{source_prefix(source)}{FINISHED_NAME}", list(columns))
            for source in self.unpublished
        ]
        manifests = [map(Row._make, rows_of(table, columns)) for table in tables]
        return manifests[0] if len(manifests) == 1 else heapq.merge(*manifests, key=attrgetter("key"))


NONE_KNOWN: Final = KnownFeatures()


def finished_sources(s3: Any, bucket: str) -> set[str]:
    """Sources whose featurize step is done, published or not."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=FEATURES_PREFIX, Delimiter="/")
    folders = [entry["Prefix"] for page in pages for entry in page.get("CommonPrefixes", [])]
    sources = (folder.removeprefix(FEATURES_PREFIX).rstrip("/") for folder in folders)
    return {
        source
        for source in sources
        if source.startswith(_RUN_SOURCE)
        and s3.list_objects_v2(Bucket=bucket, Prefix=f"{source_prefix(source)}{FINISHED_NAME}")["KeyCount"]
    }


def usable_sources(
    s3: Any, bucket: str, finished: Collection[str], identity: FeatureIdentity
) -> dict[str, ModelFacts]:
    """Those of ``finished`` sources whose features are the ones wanted, with the facts of their model."""
    usable = {}
    for source in sorted(finished):
        attempt = read_json(s3, bucket, f"{source_prefix(source)}{ATTEMPT_NAME}")
        if attempt is None or not _is_wanted(attempt, identity):
            continue
        layout = RunLayout(bucket, source.removeprefix(_RUN_SOURCE))
        if metrics := read_json(s3, bucket, layout.featurize_metrics):
            usable[source] = metrics["model"]
    return usable


def _is_wanted(attempt: dict[str, Any], identity: FeatureIdentity) -> bool:
    # The fingerprint is that of a file, which has one precision.
    made = (attempt["model"], attempt["engine"], attempt["image_size"], attempt["reader"])
    return made == (identity["fingerprint"], identity["engine"], identity["image_size"], identity["reader"])
