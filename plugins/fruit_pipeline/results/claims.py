"""Claims: which run writes below a run key, and whether anybody still may.

A run claims its key by a conditional write before it writes below it, so that two installations that share
a bucket never write to one place. Before the pointer moves to the result, the key is sealed. From then on
nothing below it changes, whatever is cleared, repeated or late.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any, TypedDict

from fruit_contract.layout import RunLayout, later_run_key, run_key
from fruit_pipeline.errors import PipelineError
from fruit_pipeline.results.publication import read_json, write_json, write_new_json


class ClaimError(PipelineError):
    """The run may not write below a key; one sentence."""


@dataclass(frozen=True)
class Owner:
    """A run of Airflow, wherever it runs."""

    installation: str
    dag_id: str
    run_id: str


class Claim(TypedDict):
    """``claim.json``."""

    owner: dict[str, str]
    claimed_at: str
    sealed: bool
    """What lies below the key is, or is about to be, published."""


def claim(s3: Any, bucket: str, owner: Owner, published: Collection[str] = ()) -> RunLayout:
    """The keys that ``owner`` may write to: of its own run key, or of the first later one that is free.

    A run that is repeated gets the key it had, with what it finished there, until that key is sealed. Keys
    of ``published`` results are taken, claimed or not.
    """
    first = run_key(owner.run_id)
    for number in count(1):
        layout = RunLayout(bucket, first if number == 1 else later_run_key(first, number))
        if layout.run_key not in published and _is_claimed_by(s3, layout, owner):
            return layout
    raise AssertionError("there is no last number")


def _is_claimed_by(s3: Any, layout: RunLayout, owner: Owner) -> bool:
    held = read_json(s3, layout.bucket, layout.claim)
    if held is None and not _has_remains(s3, layout):
        new = Claim(owner=asdict(owner), claimed_at=datetime.now(UTC).isoformat(), sealed=False)
        if write_new_json(s3, layout.bucket, layout.claim, new):
            return True
        held = read_json(s3, layout.bucket, layout.claim)
    return held is not None and held["owner"] == asdict(owner) and not held["sealed"]


def _has_remains(s3: Any, layout: RunLayout) -> bool:
    """Whether a run that knew no claims has written there."""
    return any(
        s3.list_objects_v2(Bucket=layout.bucket, Prefix=prefix, MaxKeys=1)["KeyCount"]
        for prefix in (layout.features, layout.reports)
    )


def is_sealed(s3: Any, layout: RunLayout) -> bool:
    held = read_json(s3, layout.bucket, layout.claim)
    return bool(held and held["sealed"])


def check_open(s3: Any, layout: RunLayout, owner: Owner) -> None:
    """``ClaimError`` unless ``owner`` may write below the key. A run that was planned without a claim may."""
    held = read_json(s3, layout.bucket, layout.claim)
    if held is None:
        return
    if held["owner"] != asdict(owner):
        raise ClaimError(
            f"Run {owner.run_id!r} of {owner.installation!r} may not write below the key {layout.run_key!r}, "
            f"which run {held['owner']['run_id']!r} of {held['owner']['installation']!r} has claimed: "
            "trigger a new run."
        )
    if held["sealed"]:
        raise ClaimError(
            f"The result of run {owner.run_id!r} was published, and stays as it is: to make it anew, trigger "
            "a new run, or clear the task plan with all that follows it."
        )


def seal(s3: Any, layout: RunLayout, owner: Owner) -> None:
    """Let nobody write below the key again. Sealing twice does no harm."""
    if is_sealed(s3, layout):
        return
    check_open(s3, layout, owner)
    now = datetime.now(UTC).isoformat()
    write_json(s3, layout.bucket, layout.claim, Claim(owner=asdict(owner), claimed_at=now, sealed=True))
