"""A few of `make chaos`'s scenarios: no cluster outlives its run, and no run has two."""

from collections.abc import Iterator

import pytest

from chaos.driver import Arena, Scenario
from chaos.scenarios import scenarios
from chaos.system import arena

PLAYED = (
    "the answer of RunJobFlow is lost",
    "TerminateJobFlows is denied for good: the idle limit",
    "the output of PCA is short",
    "the run is marked failed",
    "the run is deleted: the reaper",
    "the scheduler is killed for good while the cluster is idle: the idle limit",
)
ALL = {scenario.name: scenario for scenario in scenarios()}


@pytest.fixture(scope="module")
def there() -> Iterator[Arena]:
    with arena() as running:
        first = running.play(next(iter(ALL.values())))
        assert first.as_expected, first
        yield running


@pytest.mark.parametrize("scenario", [ALL[name] for name in PLAYED], ids=PLAYED)
def test_a_scenario_ends_as_it_must(there: Arena, scenario: Scenario) -> None:
    seen = there.play(scenario)
    assert seen.as_expected, seen
