"""Promise: the image of local AWS in docker-compose.yaml has all that its programs import."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import yaml

from tests.conftest import REPOSITORY

PROGRAMS = ("local_aws.__main__", "local_run.seed")
OF_ANY_ENVIRONMENT = {"setuptools"}


def normalized(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution.lower())


def mounted() -> list[str]:
    """Folders of the repository that its containers see."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yaml").read_text())["services"]
    volumes = [volume.split(":") for volume in services["local-account"]["volumes"]]
    return [source for source, *_ in volumes if source.startswith("./")]


def test_what_its_programs_import_is_mounted_and_locked_for_it(tmp_path: Path) -> None:
    for folder in mounted():
        (tmp_path / folder).parent.mkdir(exist_ok=True)
        (tmp_path / folder).symlink_to(REPOSITORY / folder)
    locked = {
        line.partition("==")[0]
        for line in (REPOSITORY / "requirements" / "local-aws.txt").read_text().splitlines()
        if re.match(r"[a-z]", line)
    }
    program = f"import json, sys, {', '.join(PROGRAMS)}; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        # As the image has it: not this checkout as it is installed here, nor what measures this test.
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{tmp_path / 'dev'}:{tmp_path / 'plugins'}"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    imported = {module.partition(".")[0] for module in json.loads(done.stdout)}
    owners = packages_distributions()
    missing = {
        name: owners[name]
        for name in imported & owners.keys()
        if not {normalized(each) for each in owners[name]} & (locked | OF_ANY_ENVIRONMENT)
    }
    assert missing == {}, "add these to requirements/local-aws.in"
