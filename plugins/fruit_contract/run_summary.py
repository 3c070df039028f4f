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
    eur: float | None
    top1: float | None
    """Share of photos that the run's classifier names rightly. Older lines lack it and the next two."""
    split: str | None
    """How the photos were held out by which it was judged."""
    drift: int | None
    """Warnings that the new photos differ from those learnt from; None where they were not compared."""
    nothing_new: bool
    failure: str | None
