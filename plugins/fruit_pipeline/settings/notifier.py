"""Whom people are told by, ``FRUITS_NOTIFY``: a topic of SNS, or any notifier that Airflow has.

Either the topic's ARN, or a class and its keyword arguments as JSON, such as
``airflow.providers.smtp.notifications.smtp.SmtpNotifier {"to": "you@example.org", "subject": "{{ subject }}",
"html_content": "{{ message }}"}``. What the class declares as its template fields may use ``{{ subject }}``,
``{{ message }}`` and Airflow's own variables.
"""

import json
import re
from importlib import import_module
from typing import Any, Final

from fruit_pipeline.errors import PipelineError
from fruit_pipeline.security.redaction import redacted
from fruit_pipeline.security.regions import check_arns

_NAME: Final = "FRUITS_NOTIFY"
_TOPIC: Final = re.compile(r"arn:aws[\w-]*:sns:(?P<region>[\w-]+):\d{12}:[\w-]{1,256}")
"""A standard topic. One that keeps an order (``.fifo``) sends no mails."""


class NotifierError(PipelineError):
    """The setting names no topic and no notifier; a sentence without the arguments, which may be secret."""


def check(text: str) -> None:
    """What is wrong with the setting, when a DAG is parsed: ``NotifierError`` or ``ResidencyError``.

    A topic needs no import. A notifier is made, for that alone shows whether it takes its arguments.
    """
    check_arns([text], _NAME)
    if text.startswith("arn:"):
        if not _TOPIC.fullmatch(text):
            raise NotifierError(
                f"{_NAME} {redacted(text)!r} is no topic of SNS: write "
                "arn:aws:sns:REGION:ACCOUNT:NAME, of a standard topic."
            )
    elif text:
        notifier(text)


def topic_region(text: str) -> str | None:
    """The region of the topic; None where the setting names another notifier."""
    topic = _TOPIC.fullmatch(text)
    return topic["region"] if topic else None


def notifier(text: str) -> Any:
    """The notifier that the setting names, with its arguments as they were given."""
    path, _, given = text.partition(" ")
    kind, arguments = _class(path), _arguments(given)
    try:
        return kind(**arguments)
    except Exception as error:  # its own code: only of a TypeError is it known that it quotes no value
        why = error if isinstance(error, TypeError) else type(error).__name__
        raise NotifierError(f"{_NAME} gives {path} wrong arguments ({why}): correct them.") from None


def _class(path: str) -> type:
    from airflow.sdk import BaseNotifier  # the command line need not wait for Airflow

    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise NotifierError(
            f"{_NAME} names {path}, which cannot be imported ({error}): write a topic's ARN, or the path of "
            "a notifier's class."
        ) from None
    if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
        raise NotifierError(f"{_NAME} names {path}, which is no BaseNotifier of Airflow: name one.")
    return kind


def _arguments(given: str) -> dict[str, Any]:
    try:
        arguments = json.loads(given or "{}")
    except ValueError as error:
        raise NotifierError(f"{_NAME} has arguments that are no JSON ({error}): correct them.") from None
    if not isinstance(arguments, dict):
        raise NotifierError(
            f'{_NAME} has arguments that are no JSON object: write them as {{"name": "value"}}.'
        )
    return arguments
