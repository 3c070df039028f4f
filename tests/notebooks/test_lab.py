"""JupyterLab serves loopback alone, behind its token, writes where it may, and ends with Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
from tenacity import Retrying, retry_if_exception_type, wait_fixed

from exploring.lab import Lab
from tests.conftest import REPOSITORY
from tests.notebooks.conftest import BUCKET, Run

COMMAND = [sys.executable, "-m", "exploring", "lab"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Served:
    process: subprocess.Popen[str]
    address: str
    """With the token."""
    home: Path

    def ask(self, path: str, token: str, body: bytes | None = None) -> Any:
        place = urlsplit(self.address)
        asked = Request(f"http://{place.netloc}{path}", body, {"Authorization": f"token {token}"})
        with urlopen(asked) as answer:
            return json.load(answer)

    def wait_until_it_listens(self) -> None:
        """It says its address before it does."""
        place = urlsplit(self.address)
        for answer in Retrying(retry=retry_if_exception_type(ConnectionRefusedError), wait=wait_fixed(0.1)):
            with answer:
                assert self.process.poll() is None
                socket.create_connection((place.hostname, place.port)).close()


def processes_of(marker: str) -> list[str]:
    listed = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if marker in line]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "MPLCONFIGDIR": str(REPOSITORY / ".cache" / "matplotlib")}
    places = [f"--state-dir={tmp_path / 'state'}", f"--out-dir={tmp_path / 'out'}"]
    with subprocess.Popen(
        [*COMMAND, f"--port={free_port()}", *places],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if "?token=" in line:
                server = Served(process, line.split()[-1], home)
                server.wait_until_it_listens()
                yield server
                break
        else:
            raise AssertionError("".join(said))
        process.kill()


def test_it_serves_loopback_behind_a_token_and_ends_with_its_kernels(served: Served, tmp_path: Path) -> None:
    place = urlsplit(served.address)
    assert place.hostname == "127.0.0.1"
    token = place.query.removeprefix("token=")
    assert len(token) >= 32
    with pytest.raises(HTTPError, match="403"):
        served.ask("/api/contents/notebooks", "wrong")
    listed = served.ask("/api/contents/notebooks", token)
    assert [each["name"] for each in listed["content"]] == ["explore.ipynb"]
    served.ask("/api/kernels", token, b'{"name": "python3"}')
    assert len(processes_of(str(tmp_path))) == 2, "the server and a kernel"
    served.process.send_signal(signal.SIGINT)
    served.process.communicate()
    assert processes_of(str(tmp_path)) == []
    assert list(served.home.iterdir()) == []
    assert {path.name for path in tmp_path.iterdir()} == {"home", "state", "out"}


def test_a_copy_that_somebody_has_changed_is_kept(tmp_path: Path) -> None:
    place = Lab(tmp_path / "state", tmp_path / "out")
    copy = place.notebook()
    assert copy.read_bytes() == (REPOSITORY / "notebooks" / "explore.ipynb").read_bytes()
    copy.write_text("mine")
    assert place.notebook().read_text() == "mine"


def test_it_leads_to_local_aws_while_that_is_up(run: Run, aws: dict[str, str]) -> None:
    place = Lab(run.place / "state", run.place / "out")
    assert place.account() == aws
    listed = subprocess.run(
        [sys.executable, "-c", "import boto3; print(boto3.client('s3').list_buckets()['Buckets'])"],
        env={"PATH": os.defpath, **place.account()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert BUCKET in listed.stdout
    assert Lab(run.place / "nowhere", run.place / "out").account() == {}


@pytest.mark.parametrize(
    ("port", "sentence"),
    [
        ("abc", "error: PORT= (--port) is 'abc': it should be a valid integer"),
        ("70000", "error: Port 70000 does"),
    ],
)
def test_a_wrong_port_is_one_sentence_and_nothing_is_begun(port: str, sentence: str, tmp_path: Path) -> None:
    places = [f"--state-dir={tmp_path / 'state'}", f"--out-dir={tmp_path / 'out'}"]
    done = subprocess.run(
        [*COMMAND, f"--port={port}", *places], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [*COMMAND, f"--port={taken.getsockname()[1]}", f"--out-dir={tmp_path}"]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be used" in done.stderr
