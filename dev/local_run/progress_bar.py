"""How far a step is: a bar on a terminal, and elsewhere a line now and then."""

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from fruit_contract.progress import Progress

_LINE_SECONDS: Final = 10.0
"""Between two lines, at least."""


class ProgressBar:
    """A context manager, so that the terminal is as it was afterwards."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        columns = (TextColumn("   "), BarColumn(), TextColumn("{task.description}"))
        self._bar = Bar(*columns, console=console, transient=True, refresh_per_second=2)
        self._line, self._printed_at = "", -_LINE_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.show(None)

    def show(self, progress: Progress | None) -> None:
        """How far it is now; with None, no step is at work."""
        if not self._console.is_interactive:
            self._print(progress)
        elif progress is None:
            self._bar.stop()
        else:
            task = self._bar.task_ids[0] if self._bar.task_ids else self._bar.add_task("")
            self._bar.update(task, description=str(progress), completed=progress.done, total=progress.of)
            self._bar.start()

    def _print(self, progress: Progress | None) -> None:
        is_time = self._clock() - self._printed_at >= _LINE_SECONDS
        if progress and is_time and str(progress) != self._line:
            self._line, self._printed_at = str(progress), self._clock()
            self._console.print(f"    {self._line}", highlight=False)
