"""What people are told, in a few lines of plain text: what happened, the facts, what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fruit_contract.report_schema import ClusterFacts, Cost, Report


@dataclass(frozen=True)
class Notice:
    """One event. Its subject follows the DAG's id; each fact is a line of its own."""

    subject: str
    what: str
    to_do: str
    facts: Sequence[str] = ()

    def text(self, dag_id: str, run_id: str, link: str | None) -> str:
        """All of it, with the run that tells; ``link`` is the page of that run."""
        facts = [f"Run: {run_id} of {dag_id}", *self.facts, *([f"Look: {link}"] if link else [])]
        return "\n\n".join([self.what, "\n".join(facts), f"What to do: {self.to_do}"])


def red_run(why: str, facts: Sequence[str]) -> Notice:
    """``facts`` are those of the run's report, where it got that far."""
    return Notice(
        "a run is red",
        why,
        "fix the cause, then trigger a new run. The documentation of the task that failed says more.",
        facts or ("Current result: that of the last green run, as before",),
    )


def lost_to_spot(lost: str, second: str, worst_eur: float) -> Notice:
    """``lost`` is what EMR said of the cluster; ``second`` is the id of the one in its place."""
    return Notice(
        "a cluster was lost to Spot",
        "Spot took nodes that the cluster needs, or had none to give. The run goes on with one more cluster, "
        f"on demand. EMR said of the first: {lost}.",
        "nothing. A run with on_spot_loss=fail would end instead.",
        (
            f"Cluster: {second}, for what is left of max_hours",
            f"Cost: at most {worst_eur:.2f} EUR for the whole run, as estimated before it began",
        ),
    )


def high_bill(report: Report, facts: Sequence[str], where: str) -> Notice:
    """``where`` is the address of the report."""
    cost = report["cost"]
    return Notice(
        "a run cost more than expected",
        f"The run has cost {_eur(cost['actual'])}, and {_eur(cost['expected'])} was expected.",
        f"compare cost and timing in {where}: a slow start, a lost cluster or a cleared task costs more.",
        facts,
    )


def photos_wait(why: str, where: str) -> Notice:
    """``where`` is the address of the photos."""
    return Notice(
        "photos wait",
        f"{why.rstrip('.')}. They lie in {where}. The current result stays as it is.",
        "add photos, or trigger fruit_features by hand. The next drop and the regular run look again.",
        ("Cluster: none", "Cost: nothing"),
    )


def orphans_ended(findings: Sequence[Any]) -> Notice:
    """``findings`` are the reaper's, which say why."""
    return Notice(
        "orphan clusters ended",
        "\n".join(f"The reaper has ended {finding}." for finding in findings),
        "look at what became of the runs, and for the clusters' cost into the EMR console.",
    )


def facts_of(report: Report, pointer: Mapping[str, Any] | None) -> list[str]:
    """Clusters and cost of a run, and the result that is current at its end."""
    clusters = ", ".join(map(_state, report["clusters"])) or "none"
    current = f"that of run {pointer['run_key']}, of {pointer['published_at']}" if pointer else "none yet"
    return [f"Cluster: {clusters}", f"Cost: {_cost(report)}", f"Current result: {current}"]


def _state(cluster: ClusterFacts) -> str:
    return f"{cluster['id']} ({cluster['final_state']})"


def _cost(report: Report) -> str:
    cost: Cost = report["cost"]
    actual = "nothing" if not report["clusters"] else _eur(cost["actual"])
    if cost["expected"] is None:
        return actual
    return f"{actual}; {_eur(cost['expected'])} was expected, {_eur(cost['estimate'])} at worst"


def _eur(amount: float | None) -> str:
    return "an unknown amount" if amount is None else f"{amount:.2f} EUR"
