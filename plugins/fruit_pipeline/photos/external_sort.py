"""Batches of objects in any order, brought into the order of their keys in bounded memory.

Runs of some rows are sorted by Arrow and kept on disk, and then merged: of every run the next rows are in
memory, and what is not after the first run's end to come, is sorted together and given out. Arrow compares
strings by their UTF-8 bytes.

Too many runs for one merge are merged in groups first: a process may have 1,024 files open, and each step of
a merge looks at every run. A hundred million rows are a thousand runs, and so pass the disk twice.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

RUN_ROWS: Final = 100_000
"""Rows that are sorted at once: 20 MB, at 200 bytes a row."""
_STEP_ROWS: Final = 2_000
"""Rows of each run in memory while runs are merged."""
MOST_RUNS: Final = 64
"""Runs of one merge: 128,000 rows in memory, or 25 MB."""


def by_key(batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path) -> Iterator[pa.RecordBatch]:
    """The rows of all ``batches`` sorted by ``key``; ``folder`` is for the runs, the caller's to remove."""
    paths = (folder / f"{number}.arrow" for number in count())
    runs = []
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= RUN_ROWS:
            runs.append(_sorted_run(waiting, schema, next(paths)))
            waiting = []
    if waiting:
        runs.append(_sorted_run(waiting, schema, next(paths)))
    while len(runs) > MOST_RUNS:
        groups = [runs[at : at + MOST_RUNS] for at in range(0, len(runs), MOST_RUNS)]
        runs = [_write_run(_merged(group), schema, next(paths)) for group in groups]
    yield from _merged(runs)


def _sorted_run(waiting: list[pa.RecordBatch], schema: pa.Schema, path: Path) -> Path:
    table = pa.Table.from_batches(waiting, schema).sort_by("key")
    return _write_run(table.to_batches(_STEP_ROWS), schema, path)


def _write_run(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> Path:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(str(path), schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return path


class _Run:
    """A sorted file of which the next rows are in memory; ``rows`` is None at its end."""

    def __init__(self, path: Path) -> None:
        self._batches = iter(pa.ipc.open_stream(str(path)))
        self.rows: Any = None
        self.fill()

    def fill(self) -> None:
        while self.rows is None or not self.rows.num_rows:
            self.rows = next(self._batches, None)
            if self.rows is None:
                return

    @property
    def last(self) -> str:
        return str(self.rows.column("key")[-1].as_py())

    def take_until(self, key: str) -> pa.RecordBatch:
        """The rows in memory up to and with ``key``."""
        number = pc.sum(pc.less_equal(self.rows.column("key"), key)).as_py()
        taken, self.rows = self.rows.slice(0, number), self.rows.slice(number)
        self.fill()
        return taken


def _merged(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of sorted files, which are gone at the end."""
    runs = [_Run(path) for path in paths]
    while runs := [run for run in runs if run.rows is not None]:
        # No run can still give a key before the smallest of the last keys in memory.
        until = min(run.last for run in runs)
        batch = pa.concat_batches([run.take_until(until) for run in runs])
        yield batch.take(pc.sort_indices(batch.column("key")))
    for path in paths:
        path.unlink()
