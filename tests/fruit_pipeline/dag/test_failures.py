"""Why a run is red stands where people look, in the words of the task that failed."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from airflow.sdk.exceptions import AirflowFailException

from fruit_pipeline.dag import failures
from fruit_pipeline.errors import PipelineError, without_retry


@pytest.fixture
def task_log() -> Iterator[io.StringIO]:
    """A log of structured exceptions, as Airflow's tasks have it."""
    before, written = structlog.get_config(), io.StringIO()
    frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    structlog.configure(
        processors=[structlog.processors.ExceptionRenderer(frames), structlog.processors.JSONRenderer()],
        logger_factory=structlog.WriteLoggerFactory(written),
    )
    yield written
    structlog.configure(**before)


@without_retry()
def refuse() -> None:
    try:
        raise KeyError("a bug's own words")
    except KeyError as error:
        raise PipelineError("Set components to 30.") from error


def logged(log: Any, task_log: io.StringIO, task: Any) -> list[dict[str, Any]]:
    """What the log has of the exception of a task."""
    try:
        task()
    except Exception:
        log.exception("Task failed with exception")
    return list(json.loads(task_log.getvalue().splitlines()[-1])["exception"])


def test_a_refusal_is_logged_as_its_sentence_alone(task_log: io.StringIO) -> None:
    bound_before = structlog.get_logger().bind()
    failures.log_plainly(SimpleNamespace())  # type: ignore[arg-type]
    [entry] = logged(bound_before, task_log, refuse)
    assert (entry["exc_value"], entry["frames"]) == ("Set components to 30.", [])


def test_a_full_disk_is_named_and_another_error_of_the_disk_is_retried() -> None:
    @without_retry()
    def write(path: str) -> None:
        Path(path).write_bytes(b"x")

    with pytest.raises(AirflowFailException, match="is full: free some of it, then clear this task"):
        write("/dev/full")
    with pytest.raises(FileNotFoundError):
        write("/nowhere/at/all")


def test_any_other_error_keeps_its_frames(task_log: io.StringIO) -> None:
    failures.log_plainly(SimpleNamespace())  # type: ignore[arg-type]
    [entry] = logged(structlog.get_logger(), task_log, lambda: {}["missing"])
    assert entry["frames"]


def test_a_task_that_is_resumed_cuts_no_frames_twice(task_log: io.StringIO) -> None:
    for _ in range(2):
        failures.log_plainly(SimpleNamespace())  # type: ignore[arg-type]
    assert structlog.get_config()["processors"].count(failures._without_frames) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AirflowFailException("Set components to 30."), "Set components to 30."),
        (ValueError("too many"), "ValueError: too many"),
        ("Marked failed by hand", "Marked failed by hand"),
        (None, "its process has ended without a word"),
        (AirflowFailException("arn:aws:iam::123456789012:role/x"), "arn:aws:iam::***:role/x"),
    ],
)
def test_a_failed_task_leaves_its_sentence(error: Any, said: str) -> None:
    left: dict[str, str] = {}
    ti = SimpleNamespace(xcom_push=left.__setitem__)
    failures.note_failure({"ti": ti, "exception": error})  # type: ignore[typeddict-item]
    assert left == {"failure": said}


def test_a_note_begins_with_the_last_failure_and_keeps_what_it_said() -> None:
    """Airflow's page of a run shows the first line alone, until the note is opened."""
    noted = failures.with_failure("Started by hand.", "The run failed in plan:\nno photos.")
    assert noted == "Red: The run failed in plan: no photos.\n\nStarted by hand."
    assert failures.with_failure(noted, "It failed.") == "Red: It failed.\n\nStarted by hand."
    assert failures.with_failure(noted, None) == "Started by hand."
    assert failures.with_failure(None, "It failed.") == "Red: It failed."
    assert failures.with_failure("Red: It failed.", None) == ""


def test_a_note_is_no_longer_than_airflow_keeps() -> None:
    noted = failures.with_failure("Started by hand.", "x" * 2000)
    assert len(noted) == failures.MOST_OF_A_NOTE
    assert noted.endswith("\n\nStarted by hand.")
