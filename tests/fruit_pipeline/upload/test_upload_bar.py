"""Promise: photos, MB and the seconds left are seen on a terminal, and in a pipe every ten seconds."""

import os
import pty
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from rich.console import Console

from fruit_pipeline.upload.upload_bar import UploadBar

MB = 1_000_000


def shown(reading: int, writing: int, environment: dict[str, str], act: Callable[[Console], None]) -> str:
    """What ``act`` writes to the one end, as it arrives at the other."""
    with ThreadPoolExecutor(1) as reader:
        text = reader.submit(read_to_the_end, reading)
        with os.fdopen(writing, "w") as file:
            act(Console(file=file, soft_wrap=True, _environ=environment))
        return text.result().decode()


def read_to_the_end(reading: int) -> bytes:
    parts = []
    with suppress(OSError), os.fdopen(reading, "rb", buffering=0) as file:  # how a terminal ends
        while part := file.read(1000):
            parts.append(part)
    return b"".join(parts)


def upload(console: Console, clock: list[float], times: list[float]) -> None:
    """At each of the times a photo of a megabyte is done, of one more than there are times."""
    with UploadBar(console, len(times) + 1, clock=lambda: clock[-1]) as bar:
        for done, now in enumerate(times, 1):
            clock.append(now)
            bar.advance(done * MB)


def test_a_terminal_has_a_bar_that_is_gone_afterwards() -> None:
    environment = {"TERM": "xterm", "COLUMNS": "100"}
    text = shown(*pty.openpty(), environment, lambda console: upload(console, [0.0], [1.0, 2.0, 3.0]))
    assert "━" in text
    assert re.findall(r"\d of 4 photos, [\d.]+ MB[^\x1b\r\n]*", text)[-1].strip() == (
        "3 of 4 photos, 3.0 MB, 1 s left"
    )
    assert text.endswith("\x1b[2K"), "the bar's line is empty again"
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1, "the cursor is back"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_pipe_has_a_line_every_ten_seconds(term: str) -> None:
    times = [1.0, 9.9, 10.0, 11.0, 19.9, 25.0]
    text = shown(*os.pipe(), {"TERM": term}, lambda console: upload(console, [0.0], times))
    assert text.splitlines() == ["  3 of 7 photos, 3.0 MB, 18 s left", "  6 of 7 photos, 6.0 MB, 5 s left"]


def test_an_upload_of_a_few_seconds_says_nothing_in_a_pipe() -> None:
    assert shown(*os.pipe(), {}, lambda console: upload(console, [0.0], [1.0, 9.9])) == ""
