"""People are told of an event once, and the run goes on as it would without that."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from airflow.sdk.configuration import conf
from airflow.sdk.log import redact
from botocore.config import Config

from fruit_pipeline.aws import clients
from fruit_pipeline.notices.messages import Notice
from fruit_pipeline.security.redaction import redacted
from fruit_pipeline.settings import notifier
from fruit_pipeline.settings.deployment import Deployment

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

_SUBJECT_CHARACTERS: Final = 100
"""Of ASCII, without line breaks: API reference of SNS, Publish."""
_SOON: Final = Config(
    connect_timeout=5, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
)
"""A task that cannot tell people gives up within a minute: its cluster may cost money meanwhile."""


def tell(context: "Context", notice: Notice, event: str | None = None) -> None:
    """Tell people, if there is anybody to tell. What goes wrong is one warning in the log.

    ``event`` names what happened in this task of this run: it is not told again when the task is retried or
    cleared. Airflow remembers that, from 3.3 on. None is for a caller that is called only once.
    """
    deployment = Deployment()
    if not deployment.notify:
        return
    with harmless(notice.subject):
        memory = context.get("task_state_store") if event else None
        if memory is not None and memory.get(event):
            return
        send(context, notice, deployment)
        if memory is not None:
            memory.set(event, datetime.now(UTC).isoformat())


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Whatever goes wrong within, the run ends as it would without it; the log says what people miss."""
    try:
        yield
    except Exception as error:
        log.warning("Nobody could be told that %s: %s", what, redacted(str(error)))


def send(context: "Context", notice: Notice, deployment: Deployment) -> None:
    """The same, at once; raises what goes wrong."""
    # A task has done so before it began, but not the DAG processor.
    clients.mask_account(context)
    dag_id, run_id = context["dag"].dag_id, context["run_id"]
    values: Any = {
        **context,
        "subject": _subject(_without_secrets(f"{dag_id}: {notice.subject}")),
        "message": _without_secrets(notice.text(dag_id, run_id, _link(dag_id, run_id))),
    }
    # A DAG may have templates rendered as Python's own types, and a message is text.
    del values["dag"]
    telling = _notifier(deployment)
    # Not called, as Airflow calls it: that logs an error, which may hold the account's id, beside raising it.
    telling.render_template_fields(values, telling.get_template_env())
    telling.notify(values)


def _notifier(deployment: Deployment) -> Any:
    region = notifier.topic_region(deployment.notify)
    if region is None:
        return notifier.notifier(deployment.notify)
    # Imported here, for most processes tell nobody anything.
    from airflow.providers.amazon.aws.hooks.sns import SnsHook
    from airflow.providers.amazon.aws.notifications.sns import SnsNotifier

    aws = {"aws_conn_id": deployment.aws_conn_id, "region_name": region}
    topic = SnsNotifier(target_arn=deployment.notify, subject="{{ subject }}", message="{{ message }}", **aws)
    topic.hook = clients.checked(SnsHook(config=_SOON, **aws))
    return topic


def _without_secrets(text: str) -> str:
    """Without what looks like an account or a key, and without what Airflow knows to be secret."""
    return str(redact(redacted(text)))


def _subject(text: str) -> str:
    return text.encode("ascii", "replace").decode()[:_SUBJECT_CHARACTERS]


def _link(dag_id: str, run_id: str) -> str | None:
    base = conf.get("api", "base_url", fallback=None)
    return f"{base.rstrip('/')}/dags/{dag_id}/runs/{quote(run_id, safe='')}" if base else None
