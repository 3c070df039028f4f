"""Why a run is red, in the failed task's own sentence: its log, the report, and the note on the run."""

import sys
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

import structlog
from airflow.sdk.exceptions import AirflowFailException

from fruit_pipeline.security.redaction import redacted

if TYPE_CHECKING:
    from airflow.sdk import Context

FAILURE: Final = "failure"
"""Key of the XCom that a failed task leaves: its sentence."""
REPORT: Final = "report"
"""Id of the task that fails with the sentences of all."""
MOST_OF_A_NOTE: Final = 1000
"""Characters that Airflow's database keeps of a note."""
_MARK: Final = "Red: "


def note_failure(context: "Context") -> None:
    """Leave the sentence of a failed task for the report: an on_failure_callback."""
    context["ti"].xcom_push(FAILURE, redacted(sentence(context.get("exception"))))


def sentence(error: BaseException | str | None) -> str:
    """What a person reads of an error: a refusal says it all, another error needs its kind."""
    if error is None or isinstance(error, str):
        return str(error or "its process has ended without a word")
    said = str(error)
    return said if isinstance(error, AirflowFailException) else f"{type(error).__name__}: {said}"


def sentences(ti: Any, tasks: Iterable[str]) -> dict[str, str]:
    """What each of the tasks has left, of those that have."""
    left = {name: ti.xcom_pull(task_ids=name, key=FAILURE) for name in tasks}
    return {name: said for name, said in left.items() if said}


def with_failure(note: str | None, said: str | None) -> str:
    """The note on a run, with why it is red in its first line, which is all that the page of the run shows.

    None takes away what an earlier attempt has left.
    """
    kept = note or ""
    if kept.startswith(_MARK):
        kept = kept.partition("\n\n")[2]
    if not said:
        return kept
    room = MOST_OF_A_NOTE - len(kept) - 2
    return f"{_MARK}{' '.join(said.split())}"[:room] + (f"\n\n{kept}" if kept else "")


def log_plainly(_: "Context") -> None:
    """Have the task's log give a refusal's sentence without a traceback: an on_execute_callback.

    Airflow logs every exception with its frames, which say nothing where the message is for a person.
    """
    processors = structlog.get_config()["processors"]
    if _without_frames not in processors:
        # In place: loggers that are bound already hold this list.
        processors.insert(0, _without_frames)


def _without_frames(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    error = sys.exc_info()[1]
    if event.get("exc_info") is True and isinstance(error, AirflowFailException):
        event["exc_info"] = (type(error), error, None)
    return event
