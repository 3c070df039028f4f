"""The base of all refusals: what the pipeline will not do, in one sentence that says what to change."""

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


class PipelineError(Exception):
    """The pipeline refuses to go on, and a retry would not help: the message is for a person.

    It says what is wrong, with the value, and what to do.
    """


class UnreadableError(PipelineError):
    """An object that an earlier run has left is there and cannot be read."""

    def __init__(self, bucket: str, key: str, why: object) -> None:
        # Some libraries explain over many lines: the first says it.
        reason = str(why).splitlines()[0] if str(why) else type(why).__name__
        super().__init__(
            f"s3://{bucket}/{key} cannot be read ({reason}): restore an earlier version of it, or trigger a "
            "run with full_refresh=true, which computes everything anew."
        )


@contextmanager
def without_retry() -> Iterator[None]:
    """In a task of Airflow, as a ``with`` or as a decorator: a refusal fails the task at once.

    So does a full disk, and the message names it.
    """
    try:
        yield
    except PipelineError as refusal:
        sentence = str(refusal)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        sentence = (
            f"The disk of {error.filename or tempfile.gettempdir()} is full: free some of it, then clear "
            "this task."
        )
    else:
        return
    from airflow.sdk.exceptions import AirflowFailException  # the command line has no Airflow

    raise AirflowFailException(sentence) from None
