"""A local account that takes deployments, and the command as a person starts it."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
from moto.cloudformation.models import ChangeSet

from fruit_pipeline.cluster.identity import LIVE_STATES
from infra import removal
from local_aws.server import LocalAws
from local_run import local_account as seeding
from smoke.made import Made
from tests.conftest import REPOSITORY
from tests.deploy.infra.moto_account import client, finish_bucket, local_account
from tests.deploy.infra.template_data import security_configuration
from tests.e2e.conftest import processes_of

PAGE: Final = REPOSITORY / "docs" / "evidence" / "aws-smoke.md"
RUNTIME: Final = REPOSITORY / ".cache" / "runtime" / f"runtime-{platform.machine()}.tar.gz"


@dataclass
class Person:
    """Somebody with credentials of the account, at a terminal of their own."""

    aws: LocalAws
    place: Path

    @property
    def state(self) -> Path:
        return self.place / "state"

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FRUITS_"))}
        # Local AWS runs the steps on this machine's processor.
        here = {"FRUITS_RUNTIME_ARCHIVE": str(RUNTIME), "FRUITS_POLL_SECONDS": "1", "COLUMNS": "200"}
        return own | self.aws.environment | here

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        places = ["--state-dir", str(self.state), "--output", str(self.place)]
        return subprocess.Popen(
            [sys.executable, "-m", "smoke", *places, *words],
            env=self.environment | environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def call(self, *words: str, **environment: str) -> tuple[int, str]:
        """Exit code and output."""
        process = self.start(*words, **environment)
        said, _ = process.communicate()
        return process.returncode, said

    @property
    def made(self) -> Made | None:
        return Made.read(self.state / "made.json")

    def client(self, service: str) -> Any:
        return client(self.aws, service)

    def there(self) -> dict[str, list[str]]:
        """What the account holds, but for ended clusters and the roles that AWS keeps for itself."""
        emr, s3, cloudformation = self.client("emr"), self.client("s3"), self.client("cloudformation")
        live = [each["Id"] for each in emr.list_clusters(ClusterStates=list(LIVE_STATES))["Clusters"]]
        buckets = [each["Name"] for each in s3.list_buckets()["Buckets"]]
        roles = [each["RoleName"] for each in self.client("iam").list_roles()["Roles"]]
        vpcs = self.client("ec2").describe_vpcs()["Vpcs"]
        return {
            "clusters": live,
            "buckets": buckets,
            "versions": [str(removal.count(s3, bucket)) for bucket in buckets],
            "stacks": [each["StackName"] for each in cloudformation.describe_stacks()["Stacks"]],
            "roles": sorted(name for name in roles if not name.startswith("AWSServiceRoleFor")),
            "networks": [each["VpcId"] for each in vpcs if not each["IsDefault"]],
            "queues": self.client("sqs").list_queues().get("QueueUrls", []),
            "faults": [
                each["id"] for each in self.client("fis").list_experiment_templates()["experimentTemplates"]
            ],
        }

    def processes(self) -> list[str]:
        return processes_of(str(self.place))


def _finish(self: ChangeSet, apply: Any, aws: LocalAws) -> None:
    """What moto's CloudFormation leaves out of the bucket and the EMR that it makes."""
    apply(self)
    outputs = {each.key: each.value for each in self.stack.output_map.values()}
    s3, sqs = client(aws, "s3"), client(aws, "sqs")
    finish_bucket(s3, outputs["Bucket"])
    seeding.tell_queue(s3, sqs, outputs["Bucket"], outputs["InputPrefix"], outputs["QueueUrl"])
    client(aws, "emr").create_security_configuration(
        Name=outputs["SecurityConfiguration"], SecurityConfiguration=json.dumps(security_configuration())
    )


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_account(tmp_path_factory.mktemp("aws")) as running:
        apply = ChangeSet.apply
        with mock.patch.object(ChangeSet, "apply", lambda self: _finish(self, apply, running)):
            yield running


@pytest.fixture
def person(aws: LocalAws, tmp_path: Path) -> Person:
    (tmp_path / PAGE.name).write_text(PAGE.read_text())
    return Person(aws, tmp_path)
