"""The manifests of results: their schema as Arrow has it, and the feature folders that they refer to."""

from typing import Any, Final

import pyarrow as pa

from fruit_contract.manifest import MANIFEST_COLUMNS, REJECTED
from fruit_pipeline.errors import UnreadableError
from fruit_pipeline.results.tables import batches_under, keys_under

MANIFEST_SCHEMA: Final = pa.schema(
    [pa.field(name, pa.type_for_alias(kind), nullable=name == "reason") for name, kind in MANIFEST_COLUMNS]
)


def sources_of(s3: Any, bucket: str, manifest: str) -> set[str]:
    """The sources whose rows a manifest refers to, those of dead rows too.

    ``UnreadableError`` where there is no such manifest: a result that was published has one.
    """
    sources: set[str] = set()
    if next(keys_under(s3, bucket, manifest, ".parquet"), None) is None:
        raise UnreadableError(bucket, manifest, "it has no file")
    for batch in batches_under(s3, bucket, manifest, ["source", "state"]):
        sources.update(
            source
            for source, state in zip(
                *(batch.column(name).to_pylist() for name in ("source", "state")), strict=True
            )
            if state != REJECTED
        )
    return sources
