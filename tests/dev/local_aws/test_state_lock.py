"""Whoever uses a folder of state holds it, and nobody else touches anything in it meanwhile."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local_aws import state_lock
from local_run.local_stack import Paths, Stack, StackPlan, running
from tests.conftest import REPOSITORY


def test_a_folder_that_is_held_is_refused_with_the_name_of_its_holder(tmp_path: Path) -> None:
    said = f"^{tmp_path} is in use by process {os.getpid()}, an orchard: end that first, or use it.$"
    with state_lock.held(tmp_path, "an orchard"):
        with pytest.raises(state_lock.InUseError, match=said):
            state_lock.check_free(tmp_path)
        with pytest.raises(state_lock.InUseError, match=said), state_lock.held(tmp_path, "another"):
            pytest.fail("two hold it")
    state_lock.check_free(tmp_path)
    with state_lock.held(tmp_path, "another"):
        pass


def test_a_folder_that_was_never_used_is_free_and_stays_as_it_is(tmp_path: Path) -> None:
    state_lock.check_free(tmp_path / "new")
    assert not list(tmp_path.iterdir())


def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys; from local_aws import state_lock\n"
        "with state_lock.held(pathlib.Path(sys.argv[1]), 'doomed'):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert "doomed" in (tmp_path / state_lock.LOCK_NAME).read_text()
    state_lock.check_free(tmp_path)


def test_a_system_holds_its_folder_from_before_it_starts_until_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(stack: Stack) -> None:
        with pytest.raises(state_lock.InUseError, match=f"Airflow at {stack.airflow.url}"):
            state_lock.check_free(tmp_path)
        seen.append(stack)

    monkeypatch.setattr(Stack, "start_aws", look)
    monkeypatch.setattr(Stack, "stop", look)
    first, second = (Stack(StackPlan(Paths(REPOSITORY, tmp_path, tmp_path), "bucket", 1.0)) for _ in range(2))
    with running(first):
        with pytest.raises(state_lock.InUseError), running(second):
            pytest.fail("two systems share a folder")
        assert seen == [first]
    assert seen == [first, first]
    state_lock.check_free(tmp_path)


@pytest.mark.parametrize("held", [".", "aws"], ids=["an Airflow", "local AWS alone"])
@pytest.mark.parametrize("command", ["run", "up"])
def test_a_second_system_is_refused_and_leaves_the_first_ones_files(
    tmp_path: Path, command: str, held: str
) -> None:
    (tmp_path / "logs").mkdir()
    files = [tmp_path / "aws.env", tmp_path / "logs" / "local-aws.log"]
    for file in files:
        file.write_text("the first one's")
    with state_lock.held(tmp_path / held, "the first one"):
        done = subprocess.run(
            [sys.executable, "-m", "local_run", command, "--state-dir", str(tmp_path), "--port", "0"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    [line] = done.stdout.splitlines()
    assert line == f"error: {tmp_path / held} is in use by process {os.getpid()}, the first one: " + (
        "end that first, or use it."
    )
    assert [file.read_text() for file in files] == ["the first one's"] * 2
