"""Batches of objects in any order, brought into the order of their keys in bounded memory.

Runs of some rows are sorted by Arrow and kept on disk, and then merged: of every run the next rows are in
memory, and what is not after the first run's end to come, is sorted together and given out. Arrow compares
strings by their UTF-8 bytes.
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
"""Rows of each run in memory while the runs are merged: ten million rows are a hundred runs, or 40 MB."""


def by_key(batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path) -> Iterator[pa.RecordBatch]:
    """The rows of all ``batches`` sorted by ``key``; ``folder`` is for the runs, the caller's to remove."""
    numbers = count()
    runs = []
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.num_rows for each in waiting) >= RUN_ROWS:
            runs.append(_write_run(waiting, schema, folder / f"{next(numbers)}.arrow"))
            waiting = []
    if waiting:
        runs.append(_write_run(waiting, schema, folder / f"{next(numbers)}.arrow"))
    yield from _merged([_Run(path) for path in runs])


def _write_run(batches: list[pa.RecordBatch], schema: pa.Schema, path: Path) -> Path:
    table = pa.Table.from_batches(batches, schema).sort_by("key")
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.ipc.new_stream(str(path), schema, options=options) as writer:
        writer.write_table(table, max_chunksize=_STEP_ROWS)
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


def _merged(runs: list[_Run]) -> Iterator[pa.RecordBatch]:
    while runs := [run for run in runs if run.rows is not None]:
        # No run can still give a key before the smallest of the last keys in memory.
        until = min(run.last for run in runs)
        batch = pa.concat_batches([run.take_until(until) for run in runs])
        yield batch.take(pc.sort_indices(batch.column("key")))
