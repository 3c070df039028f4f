"""Whatever a person gives make comes to the program as it was typed, and nothing in it is run."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from local_aws import state_lock
from tests.conftest import REPOSITORY

MAKEFILE: Final = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
PROGRAMS: Final = ("airflow", "spark", "spark-oldest", "spark-newest", "bench", "notebooks", "tools", "infra")
OPTIONS: Final = [
    ("run", "IMAGES", "--images"),
    ("run", "COUNT", "--count"),
    ("run", "ARGS", "--args"),
    ("run", "PORT", "--port"),
    ("up", "PORT", "--port"),
    ("notebook", "PORT", "--port"),
    ("drops", "IMAGES", "--images"),
    ("drops", "PORT", "--port"),
    ("upload", "IMAGES", "--images"),
    ("upload", "BUCKET", "--bucket"),
    ("upload", "PREFIX", "--prefix"),
    ("upload", "REGION", "--region"),
    ("predict", "PHOTO", "--"),
    ("inspect", "PHOTO", "--"),
    ("export", "TO", "--to"),
    ("export-model", "IMAGES", "--photos"),
    ("bench", "IMAGES", "--images"),
    ("bench-quick", "IMAGES", "--images"),
    ("classifier-report", "IMAGES", "--images"),
    ("classifier-report", "OUTSIDE", "--outside"),
    ("chaos", "SEED", "--seed"),
    ("chaos", "ONLY", "--only"),
    ("quality", "IMAGES", "--photos"),
    ("arm64-check", "IMAGES", "--photos"),
    ("arm64-check", "ARM64_RUNTIME", "--runtime"),
    ("test", "EXAMPLES", "--hypothesis-profile"),
    ("test", "RUNS", "-m"),
]
"""A target, what may be given to it, and the option by which its program takes that."""
WORDS: Final = {
    **{target: ["infra", target] for target in ("deploy", "destroy", "doctor", "mwaa", "prices")},
    "aws-smoke": ["smoke"],
    "predict": ["predict"],
    "inspect": ["inspect_photo"],
    "export": ["fruit_pipeline", "export"],
    "export-model": ["artifacts.classifier_export"],
}
"""Targets whose program takes ARGS as words, and how it is called."""
HOSTILE: Final = [
    "/photos/o'brien",
    "'; touch ran; '",
    '"; touch ran; "',
    "$(touch ran)`touch ran`",
    "$(shell touch ran)$$HOME ${HOME}",
    "two  blanks * # and a \\",
    "--help",
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The Makefile among programs that note their arguments, and do nothing else."""
    (tmp_path / "calls").mkdir()
    program = tmp_path / "program"
    program.write_text(f"#!/bin/bash\nprintf '%s\\0' \"$@\" > \"$(mktemp '{tmp_path}/calls/XXXXXX')\"\n")
    program.chmod(0o755)
    for name in PROGRAMS:
        binaries = tmp_path / ".venv" / name / "bin"
        binaries.mkdir(parents=True)
        for called in ("python", "pip", "uv"):
            (binaries / called).symlink_to(program)
    for folder in (".cache/jars", ".cache/model", ".cache/runtime", ".state/airflow"):
        (tmp_path / folder).mkdir(parents=True)
    for name in ("requirements", "deploy", "dev", "plugins", "tests"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    return tmp_path


def make(place: Path, target: str, name: str, value: str, *, typed: bool) -> list[list[str]]:
    """Run a target with a value, typed behind make or in the environment; the arguments of all programs."""
    environment = {key: each for key, each in os.environ.items() if not key.startswith("MAKE")}
    given = [f"{name}={value}"] if typed else []
    done = subprocess.run(
        ["make", target, f"PYTHON={place / 'program'}", *given],
        cwd=place,
        env=environment | ({} if typed else {name: value}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not list(place.rglob("ran")), f"make {target} has run what {name} holds"
    return [each.read_text().split("\0")[:-1] for each in (place / "calls").iterdir()]


@pytest.mark.parametrize("typed", [True, False], ids=["typed", "exported"])
@pytest.mark.parametrize(("target", "name", "option"), OPTIONS)
def test_a_program_gets_the_value_as_it_is(
    place: Path, target: str, name: str, option: str, typed: bool
) -> None:
    for value in HOSTILE:
        calls = make(place, target, name, value, typed=typed)
        ways = ([f"{option}={value}"], [option, value])
        assert any(
            call[at : at + len(way)] == way for call in calls for at in range(len(call)) for way in ways
        ), f"{value} did not come through: {calls}"


@pytest.mark.parametrize("target", WORDS)
def test_a_program_gets_the_words_as_they_are(place: Path, target: str) -> None:
    for value in HOSTILE:
        calls = make(place, target, "ARGS", value, typed=True)
        assert ["-m", *WORDS[target], *value.split()] in calls


def test_clean_keeps_the_note_of_what_is_in_an_account(place: Path) -> None:
    note = place / ".state" / "aws-smoke" / "made.json"
    note.parent.mkdir(parents=True)
    note.touch()
    refused = subprocess.run(["make", "clean"], cwd=place, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "run `make aws-smoke ARGS=--remove` first" in refused.stderr
    note.unlink()
    subprocess.run(["make", "clean"], cwd=place, check=True)
    assert not (place / ".state").exists()


@pytest.mark.parametrize("folder", [".state", ".state/aws"], ids=["an Airflow", "local AWS alone"])
def test_clean_leaves_what_is_in_use(place: Path, folder: str) -> None:
    with state_lock.held(place / folder, "somebody"):
        refused = subprocess.run(["make", "clean"], cwd=place, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert f".state is in use by process {os.getpid()}, somebody: end that first." in refused.stderr
    assert (place / ".state").exists()
    subprocess.run(["make", "clean"], cwd=place, check=True)
    assert not (place / ".state").exists()


def test_python_may_lie_anywhere(place: Path) -> None:
    folder = place / "o'brien $(touch ran) $(shell touch ran)`touch ran`;\"#"
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(place / "program")
    calls = make(place, "setup", "PYTHON", str(python), typed=True)
    assert ["-m", "venv", "--clear", ".venv/tools"] in calls
    assert [call for call in calls if str(python) in call]


def test_every_variable_is_tried_here() -> None:
    offered = re.findall(r"^(\w+) \?=", MAKEFILE, re.MULTILINE)
    [given] = re.findall(r"^GIVEN := (.*)$", MAKEFILE, re.MULTILINE)
    assert offered == given.split()
    assert {name for _, name, _ in OPTIONS} | {"PYTHON"} == set(offered)
    recipes = [line for line in MAKEFILE.splitlines() if not line.startswith("#")]
    pasted = [line for line in recipes for name in offered if f"$({name})" in line]
    assert pasted == [], "read it as $$NAME"
