"""Promise: a terminal has a bar while the step runs, and anything else a line every ten seconds."""

import io
from datetime import UTC, datetime, timedelta

from rich.console import Console

from fruit_contract.progress import Progress
from local_run.progress_bar import ProgressBar

STARTED = datetime(2026, 11, 29, 12, tzinfo=UTC)


def progress(done: int) -> Progress:
    return Progress(done, 3_000, 0, STARTED, STARTED + timedelta(seconds=done / 100))


def test_a_terminal_has_a_bar_that_is_gone_afterwards() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, force_interactive=True, width=100)
    with ProgressBar(console) as bar:
        bar.show(None)
        assert file.getvalue() == ""
        bar.show(progress(0))
        bar.show(progress(1_200))
        console.print("a line of its own")
        bar.show(None)
    shown = file.getvalue()
    assert "━" in shown
    assert "1,200 of 3,000 photos, 100 a second, 18 s left" in shown
    assert "a line of its own" in shown
    assert shown.endswith("\x1b[2K"), "the bar's line is empty again"
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is back"


def test_what_is_no_terminal_has_a_line_every_ten_seconds_when_there_is_news() -> None:
    file, clock = io.StringIO(), [0.0]
    with ProgressBar(Console(file=file, width=100), clock=lambda: clock[-1]) as bar:
        for now, done in ((0.0, 0), (1.0, 300), (10.0, 1_200), (25.0, 1_200), (26.0, 2_700)):
            clock.append(now)
            bar.show(progress(done))
        bar.show(None)
    assert [line.strip() for line in file.getvalue().splitlines()] == [
        "0 of 3,000 photos",
        "1,200 of 3,000 photos, 100 a second, 18 s left",
        "2,700 of 3,000 photos, 100 a second, 3 s left",
    ]
