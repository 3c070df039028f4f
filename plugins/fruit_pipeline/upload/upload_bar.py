"""How far an upload is: a bar on a terminal, and elsewhere a line every ten seconds."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

_LINE_SECONDS: Final = 10.0


class UploadBar:
    """A context manager, so that the terminal is as it was afterwards. Safe for several threads."""

    def __init__(self, console: Console, photos: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock, self._lock = console, clock, threading.Lock()
        columns = (TextColumn("Uploading"), BarColumn(bar_width=16), _SaidColumn())
        # Elsewhere than on a terminal a bar would leave an empty line.
        self._bar = Progress(
            *columns, console=console, transient=True, get_time=clock, disable=not console.is_interactive
        )
        self._task = self._bar.add_task("", total=photos, sent=0)
        self._printed_at = clock()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, sent: int) -> None:
        """One photo more is done; so far ``sent`` bytes were uploaded."""
        with self._lock:
            self._bar.update(self._task, advance=1, sent=sent)
            if not self._console.is_interactive and self._clock() - self._printed_at >= _LINE_SECONDS:
                self._printed_at = self._clock()
                self._console.print(f"  {_said(self._bar.tasks[0])}", highlight=False)


class _SaidColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(_said(task))


def _said(task: Task) -> str:
    """Photos and bytes so far, and the time left at the speed of the last half minute."""
    left = f", {task.time_remaining:,.0f} s left" if task.time_remaining is not None else ""
    return f"{task.completed:,.0f} of {task.total:,.0f} photos, {task.fields['sent'] / 1e6:,.1f} MB{left}"
