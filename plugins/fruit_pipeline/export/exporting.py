"""The export of a result: all of a new file, or nothing."""

import tempfile
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console

from fruit_pipeline.command_line import progress_bar
from fruit_pipeline.export.file_formats import FORMATS, Block, Table, files_of
from fruit_pipeline.export.result_rows import ExportError, ResultRows


def check_target(target: Path) -> None:
    """``ExportError`` unless the suffix is known, the folder there, and no file of that name."""
    if target.suffix not in FORMATS:
        raise ExportError(f"{target} has no suffix that is known: choose {', '.join(FORMATS)}.")
    if not target.parent.is_dir():
        raise ExportError(f"There is no folder {target.parent}: make it, or name another.")
    for file in files_of(target):
        if file.exists() or file.is_symlink():
            raise ExportError(f"{file} is there already: name another file, or move it away.")


def export(result: ResultRows, target: Path, console: Console) -> Table:
    """Write the rows to ``target``, in the format of its suffix; what was written.

    The files get their names when they are whole. ``ExportError`` where ``check_target`` refuses, and for
    a result without rows, or with others than it says itself. An error or an interruption leaves nothing.
    """
    check_target(target)
    files = files_of(target)
    # Beside the target: a file is renamed on one disk alone.
    with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
        half = [Path(folder, file.name) for file in files]
        with progress_bar(console) as progress:
            bar = progress.add_task("Exporting", total=result.count)
            table = _table(result, lambda rows: progress.update(bar, advance=rows))
            FORMATS[target.suffix](table, *half)
        check_target(target)
        _rename(half, files)
    return table


def _rename(half: list[Path], files: tuple[Path, ...]) -> None:
    try:
        for made, file in zip(half, files, strict=True):
            made.rename(file)
    except BaseException:
        for made, file in zip(half, files, strict=True):
            if not made.exists():
                file.unlink(missing_ok=True)
        raise


def _table(result: ResultRows, advance: Callable[[int], None]) -> Table:
    # A file of the result may have no row at all.
    batches = (batch for batch in result.batches if batch.num_rows)
    first = next(batches, None)
    if first is None:
        raise ExportError(f"{result.address} has no rows: start a run.")
    count = len(first.column("features")[0])
    return Table(result.count, count, _blocks(result, chain([first], batches), count, advance))


def _blocks(
    result: ResultRows, batches: Iterator[pa.RecordBatch], count: int, advance: Callable[[int], None]
) -> Iterator[Block]:
    rows = 0
    for batch in batches:
        components = batch.column("features").flatten().to_numpy(zero_copy_only=False)
        if components.size != batch.num_rows * count:
            raise ExportError(f"{result.address} has rows of other lengths than {count}: start a run.")
        yield Block(
            batch.column("path"),
            batch.column("label"),
            components.reshape(-1, count).astype(np.float32, copy=False),
        )
        rows += batch.num_rows
        advance(batch.num_rows)
    if rows != result.count:
        raise ExportError(
            f"{result.address} has {rows:,} rows, and should have {result.count:,}: a file of it is missing "
            "or damaged, so start a run with full_refresh=true."
        )
