"""What the task ``plan`` hands on to those after it."""

from typing import TypedDict

from fruit_contract.report import ModelFacts
from fruit_pipeline.publication import FeatureIdentity


class Base(TypedDict):
    """The current result, where its features are used again."""

    run_key: str
    model: ModelFacts
    pca_model: str
    components: int


class Planned(TypedDict):
    """What the run found, what it builds on, and where it writes."""

    images: int
    new: int
    changed: int
    deleted: int
    reused: int
    bytes: int
    """Of the new and the changed ones."""
    ignored: int
    run_key: str
    """Below which the run writes: its own, or a later one where its own has been published."""
    features: FeatureIdentity
    base: Base | None
    pointer_etag: str | None
    """Of ``_latest.json`` as it was; publishing moves that one, and no other."""
    nothing_new: bool
    """The current result is what this run would make."""
    summary: str
