"""Publish a verified result: write down its files, seal its keys, and move the pointer to it."""

from typing import Any

from fruit_contract.layout import RunLayout
from fruit_pipeline.results import claims, recorded_files
from fruit_pipeline.results.claims import Owner
from fruit_pipeline.results.manifests import sources_of
from fruit_pipeline.results.publication import Pointer, copy_to_former_address, move_pointer


def publish(s3: Any, layout: RunLayout, owner: Owner, pointer: Pointer, planned_on: str | None) -> Any:
    """Make the result of ``layout`` current, and return the pointer; see :func:`move_pointer`.

    It can be repeated at any point: the record is written until the keys are sealed, and never after.
    """
    if not claims.is_sealed(s3, layout):
        sources = sources_of(s3, layout.bucket, layout.manifest)
        recorded_files.record(s3, layout, sources, pointer["classifier_run"])
        claims.seal(s3, layout, owner)
    current = move_pointer(s3, layout.bucket, pointer, planned_on)
    copy_to_former_address(s3, layout.bucket)
    return current
