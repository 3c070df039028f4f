"""People are told of a red run: the DAG's own on_failure_callback.

Airflow calls it once whenever a run turns red, in the DAG processor, whatever became of the tasks. The task
``report`` cannot promise that: its process may be killed, or the run may end before it. So ``report`` leaves
what it knows, and tells nobody. The scheduler, which writes the note on the run, must not wait for a network.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from fruit_pipeline.dag.failures import REPORT, sentences
from fruit_pipeline.notices import messages, telling

if TYPE_CHECKING:
    from airflow.sdk import Context

FACTS: Final = "facts"
"""Key of the XCom in which ``report`` leaves clusters, cost and the current result, in words."""


def tell(context: "Context") -> None:
    """Tell why, in the words of ``report`` or, where it left none, of the tasks that failed."""
    # None where no task of the run has ended.
    ti = context.get("ti")
    why, facts = "", list[str]()
    if ti:
        with telling.harmless("tasks have said why"):
            why = _why(ti, context["dag"].task_ids)
            facts = ti.xcom_pull(task_ids=REPORT, key=FACTS) or []
    unknown = f"Its tasks ended without a word, and Airflow says: {context.get('reason')}."
    telling.tell(context, messages.red_run(why or unknown, facts))


def _why(ti: Any, tasks: Iterable[str]) -> str:
    left = sentences(ti, tasks)
    if REPORT in left:
        return left[REPORT]
    return " ".join(f"The run failed in {name}: {said.rstrip('.')}." for name, said in left.items())
