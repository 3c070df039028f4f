"""What the tasks ``plan`` and ``guards`` hand on to later tasks."""

from typing import Final, TypedDict

from fruit_contract.report_schema import ExpectedSizing, GroupCost, ModelFacts
from fruit_pipeline.results.publication import FeatureIdentity

PLACE: Final = "place"
"""Key of the XCom in which ``plan`` leaves, before all else, where the run was asked to work."""


class Place(TypedDict):
    """As it was given, valid or not."""

    bucket: str
    region: str


class Base(TypedDict):
    """The current result, where its features are used again."""

    run_key: str
    pca_model: str | None
    """None where it is not whole."""
    components: int


class RunPlan(TypedDict):
    """What the run found, what it builds on, and where it writes."""

    images: int
    new: int
    changed: int
    deleted: int
    reused: int
    bytes: int
    """Of the new and the changed ones."""
    ignored: int
    left_out: dict[str, int]
    """Files that are not named like images, by their suffixes, the most frequent first."""
    run_key: str
    """Below which the run writes: its own, or a later one where its own has been published."""
    features: FeatureIdentity
    base: Base | None
    model: ModelFacts | None
    """Of the features that are used again; None where all are computed."""
    classifier_run: str | None
    """The run whose classifier is current, where it takes the features of this run and is whole."""
    pointer_etag: str | None
    """Of ``latest.json`` as it was; publishing moves that one, and no other."""
    fewer_components: bool
    """Where the photos are too few for ``components``, the result has the most that they allow."""
    nothing_new: bool
    """The current result is what this run would make."""
    waits: bool
    """There is no result yet, and nothing to do before more photos come."""
    summary: str


class RunEstimate(TypedDict):
    """What the run costs, in EUR, before anything is created, and on which fleet."""

    estimate: float
    """At worst."""
    expected: float
    groups: list[GroupCost]
    """Both by group; nothing is billed yet."""
    sizing: ExpectedSizing
