"""Promise: what a scenario leaves behind when it goes wrong reaches no other scenario."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from chaos import system
from chaos.driver import Scenario, Seen
from chaos.running import ScenarioError

FINE, BROKEN = Scenario("fine", "success"), Scenario("broken", "success")


class Arenas:
    """Counts the systems that are up, and fails the scenarios that are to fail."""

    def __init__(self, *failing: str) -> None:
        self.failing, self.begun, self.up = failing, 0, 0

    @contextmanager
    def arena(self) -> Iterator["Arenas"]:
        self.begun, self.up = self.begun + 1, self.up + 1
        yield self
        self.up -= 1

    def play(self, scenario: Scenario) -> Seen:
        end = "failed" if scenario.name in self.failing else "success"
        return Seen(scenario.name, 2, "success", False, end, 1, 0, 0, 0.0, True, 1.0)


def test_a_scenario_that_went_wrong_is_followed_by_a_new_system(monkeypatch: pytest.MonkeyPatch) -> None:
    arenas = Arenas("broken")
    monkeypatch.setattr(system, "arena", arenas.arena)
    with system.System() as one:
        assert one.begin().as_expected
        assert one.play(FINE).as_expected
        assert arenas.begun == 1
        assert not one.play(BROKEN).as_expected
        assert arenas.up == 0
        assert one.play(FINE).as_expected
        assert (arenas.begun, arenas.up) == (2, 1)
    assert arenas.up == 0


def test_no_scenario_is_played_where_the_undisturbed_run_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    arenas = Arenas("nothing goes wrong")
    monkeypatch.setattr(system, "arena", arenas.arena)
    with system.System() as one:
        assert not one.begin().as_expected
        with pytest.raises(ScenarioError, match="nothing disturbs"):
            one.play(FINE)
    assert (arenas.begun, arenas.up) == (2, 0)
