"""What the entry points do around their job: run it, and end with a code and one sentence."""

import os
import re
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from fruit_spark.session.spark_session import start_session
from fruit_spark.step_errors import StepError
from fruit_spark.steps.last_words import print_error

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LAST_WORDS_SECONDS = 5
# A StepError raised in a worker reaches the driver as text inside Spark's exception.
_FROM_WORKER = re.compile(rf"^(?:{re.escape(StepError.__module__)}\.)?StepError: (.+)$", re.MULTILINE)


def run_step(name: str, job: Callable[["SparkSession"], str], time_limit: int | None = None) -> int:
    """Run ``job``, print the sentence it returns; the exit code is 0, or 1 after ``error: ...``.

    The sentence is the last line on stderr. A traceback is printed only for what is unexpected. After
    ``time_limit`` seconds the driver ends itself: nobody else needs to be alive for that.
    """
    session = None
    if time_limit is not None:
        _end_after(time_limit, name)
    try:
        session = start_session(name)
        print(job(session), flush=True)
        failure = None
    except StepError as problem:
        failure = str(problem)
    except Exception as problem:  # the boundary of the step: whatever it was, say it and end
        failure = sentence_of(problem)
        if failure is None:
            traceback.print_exc()
            failure = (
                f"{name} failed unexpectedly: {_gist(problem)}. The traceback is in the log of this step."
            )
    finally:
        if session is not None:
            # Spark's last words at INFO would otherwise follow the sentence.
            session.sparkContext.setLogLevel("ERROR")
            # Not pyspark's own stop(): it waits up to a second for a thread that ends with this process.
            session._jsparkSession.stop()
    if failure is None:
        return 0
    print_error(f"error: {' '.join(failure.split())}")
    return 1


def _end_after(seconds: int, name: str) -> None:
    def end() -> None:
        sentence = f"error: {name} ran longer than its time limit of {seconds} s: find out why, or raise it."
        # The JVM may be what hangs, so it is not waited for.
        saying = threading.Thread(target=lambda: print_error(sentence), daemon=True)
        saying.start()
        saying.join(_LAST_WORDS_SECONDS)
        os._exit(1)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()


def _gist(problem: BaseException) -> str:
    """Type and first line; of an exception of the JVM, its own first line and not the bridge's."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or ["no message"]
    first = (
        lines[1] if lines[0].startswith("An error occurred while calling") and len(lines) > 1 else lines[0]
    )
    return f"{type(problem).__name__}: {first.removeprefix(': ')}".rstrip(".")


def sentence_of(problem: BaseException) -> str | None:
    """The sentence of a ``StepError`` that was raised in a Python worker, if there is one."""
    found = _FROM_WORKER.findall(str(problem))
    return found[-1] if found else None
