"""One line about a run, in the index of all runs: see ``runs.jsonl``."""

from typing import TypedDict


class RunSummary(TypedDict):
    """What a table and a chart of many runs show. A value that the run did not get to is None."""

    run_id: str
    run_key: str
    state: str
    started_at: str
    """ISO 8601."""
    minutes: float
    photos: int
    new: int
    """Featurized by this run: new and changed ones."""
    rejected: int
    components: int | None
    explained_variance: float | None
    top1: float | None
    """Of the classifier that the run has trained, on the photos held out. Lines of before 0.3 have none."""
    eur: float | None
    nothing_new: bool
    failure: str | None
    split: str | None
    """How the photos were held out by which ``top1`` was found. Lines of before 0.3 lack it, and drift."""
    drift: int | None
    """Warnings that the new photos differ from those learnt from; None where they were not compared."""
