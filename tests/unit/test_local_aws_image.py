"""Promise: the image of local AWS in docker-compose.yaml has every package that its programs import."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions

from tests.conftest import REPOSITORY

PROGRAMS = ("local_aws.__main__", "local_run.seed")
OF_ANY_ENVIRONMENT = {"setuptools"}


def normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution.lower())


def test_what_its_programs_import_is_locked_for_it() -> None:
    locked = {
        line.partition("==")[0]
        for line in (REPOSITORY / "requirements" / "local-aws.txt").read_text().splitlines()
        if re.match(r"[a-z]", line)
    }
    program = f"import json, sys, {', '.join(PROGRAMS)}; print(json.dumps(list(sys.modules)))"
    imported = json.loads(
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    owners = packages_distributions()
    missing = {
        name: owners[name]
        for name in imported
        if name in owners and not {normalized(each) for each in owners[name]} & (locked | OF_ANY_ENVIRONMENT)
    }
    assert missing == {}, "add these to requirements/local-aws.in"
