"""One empty local account for each module of tests, its clients, and what the commands see of it."""

from collections.abc import Iterator

import pytest

from local_aws.server import LocalAws
from tests.deploy.infra.moto_account import local_account


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_account(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(autouse=True)
def _environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 finds the local account, where the test's module has one."""
    for name in ("FRUITS_BUCKET", "FRUITS_REGION"):
        monkeypatch.delenv(name, raising=False)
    if "aws" in request.fixturenames:
        for name, value in request.getfixturevalue("aws").environment.items():
            monkeypatch.setenv(name, value)
