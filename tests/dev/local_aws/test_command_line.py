"""``python -m local_aws`` and the AWS CLI: the whole story a person would type, and its accidents."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.dev.local_aws.emr_client import REPOSITORY, SPARK_PYTHON, eventually

AWS = Path(sys.executable).with_name("aws")
BUCKET = "command-line"


class Server:
    """One ``python -m local_aws`` after another on the same state directory."""

    def __init__(self, folder: Path) -> None:
        self.state, self.env_file = folder / "state", folder / "environment"
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None
        self.output = ""

    def start(self, *options: str) -> "Server":
        self.env_file.unlink(missing_ok=True)
        self.process = process = self.launch("--env-file", str(self.env_file), *options)
        eventually(lambda: self.env_file.exists() or process.poll() is not None, "the server is ready")
        assert process.poll() is None, process.communicate()[0]
        return self

    def launch(self, *options: str) -> subprocess.Popen[str]:
        arguments = [
            "--state-dir",
            str(self.state),
            "--spark-python",
            str(SPARK_PYTHON),
            "--time-factor",
            "3000",
        ]
        return subprocess.Popen(
            [sys.executable, "-m", "local_aws", *arguments, *options],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        self.output, _ = self.process.communicate(timeout=30)
        code, self.process = self.process.returncode, None
        return code

    @property
    def environment(self) -> dict[str, str]:
        lines = self.env_file.read_text().splitlines()
        return dict(line.removeprefix("export ").split("=", 1) for line in lines)

    def aws(self, *arguments: str) -> str:
        environment = {**os.environ, **self.environment, "AWS_CONFIG_FILE": os.devnull, "AWS_PAGER": ""}
        done = subprocess.run(
            [AWS, *arguments], env=environment, capture_output=True, text=True, check=False, cwd=self.folder
        )
        assert done.returncode == 0, f"aws {' '.join(arguments)}: {done.stderr}"
        return done.stdout.strip()

    def emr(self, *arguments: str) -> str:
        return self.aws("emr", *arguments, "--endpoint-url", self.environment["AWS_ENDPOINT_URL_EMR"])

    def sqs(self, *arguments: str) -> str:
        # The CLI gives SQS an old host name of its own, and so overlooks AWS_ENDPOINT_URL.
        url = self.environment["AWS_ENDPOINT_URL"]
        return self.aws("sqs", *arguments, "--output", "text", "--endpoint-url", url)

    def create_cluster(self) -> str:
        self.aws("s3", "mb", f"s3://{BUCKET}")
        return self.emr(
            *("create-cluster", "--name", "from the CLI", "--release-label", "emr-7.13.0"),
            *("--applications", "Name=Spark", "--service-role", "service-role"),
            *("--ec2-attributes", "InstanceProfile=instance-profile", "--no-auto-terminate"),
            *("--instance-type", "m6g.xlarge", "--instance-count", "3", "--log-uri", f"s3://{BUCKET}/logs"),
            *("--query", "ClusterId", "--output", "text"),
        )

    def add_step(self, cluster_id: str, *command: str) -> str:
        step: dict[str, Any] = {
            "Type": "CUSTOM_JAR",
            "Name": "a step",
            "Jar": "command-runner.jar",
            "Args": list(command),
        }
        added = self.emr("add-steps", "--cluster-id", cluster_id, "--steps", json.dumps([step]))
        step_id: str = json.loads(added)["StepIds"][0]
        return step_id

    def step_status(self, cluster_id: str, step_id: str) -> dict[str, Any]:
        described = self.emr("describe-step", "--cluster-id", cluster_id, "--step-id", step_id)
        status: dict[str, Any] = json.loads(described)["Step"]["Status"]
        return status


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    if server.process is not None:
        server.stop(signal.SIGKILL)


def running_step(server: Server, cluster_id: str, folder: Path) -> tuple[str, int]:
    """A step that sleeps, and the process id of its child."""
    note = folder / "pid"
    step_id = server.add_step(cluster_id, "bash", "-c", f"sleep 300 & echo $! > {note}; wait")
    eventually(lambda: note.exists() and note.read_text().strip(), "the step runs")
    return step_id, int(note.read_text())


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_aws_cli_creates_a_cluster_adds_a_step_reads_its_log_and_terminates(server: Server) -> None:
    server.start()
    cluster_id = server.create_cluster()
    server.emr("wait", "cluster-running", "--cluster-id", cluster_id)
    step_id = server.add_step(cluster_id, "bash", "-c", "echo from the step")
    server.emr("wait", "step-complete", "--cluster-id", cluster_id, "--step-id", step_id)
    assert server.step_status(cluster_id, step_id)["State"] == "COMPLETED"
    server.aws("s3", "cp", f"s3://{BUCKET}/logs/{cluster_id}/steps/{step_id}/stdout.gz", "stdout.gz")
    assert gzip.decompress((server.folder / "stdout.gz").read_bytes()) == b"from the step\n"
    server.emr("terminate-clusters", "--cluster-ids", cluster_id)
    server.emr("wait", "cluster-terminated", "--cluster-id", cluster_id)
    assert server.stop(signal.SIGINT) == 0
    assert "export AWS_ENDPOINT_URL_EMR=http://127.0.0.1:" in server.output
    assert "--endpoint-url http://127.0.0.1:" in server.output
    assert not server.env_file.exists()


def test_a_clean_restart_keeps_clusters_and_objects_and_fails_the_running_step(
    server: Server, tmp_path: Path
) -> None:
    server.start()
    cluster_id = server.create_cluster()
    server.aws(
        "s3api", "put-bucket-versioning", "--bucket", BUCKET, "--versioning-configuration", "Status=Enabled"
    )
    rules = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    server.aws(
        *("s3api", "put-bucket-encryption", "--bucket", BUCKET),
        *("--server-side-encryption-configuration", json.dumps(rules)),
    )
    queue = server.sqs("create-queue", "--queue-name", "q", "--query", "QueueUrl")
    arn = server.sqs(
        *("get-queue-attributes", "--queue-url", queue, "--attribute-names", "QueueArn"),
        *("--query", "Attributes.QueueArn"),
    )
    notify = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    server.aws(
        *("s3api", "put-bucket-notification-configuration", "--bucket", BUCKET),
        *("--notification-configuration", json.dumps(notify)),
    )
    for content in ("one", "two"):
        (tmp_path / "object").write_text(content)
        server.aws("s3", "cp", "object", f"s3://{BUCKET}/a key + é")
    step_id, pid = running_step(server, cluster_id, tmp_path)

    assert server.stop() == 0
    assert is_gone(pid)
    server.start()

    versions = json.loads(
        server.aws("s3api", "list-object-versions", "--bucket", BUCKET, "--prefix", "a key")
    )
    assert len(versions["Versions"]) == 2
    # A bucket that is there must not be created, and emptied, once more.
    with pytest.raises(AssertionError, match="BucketAlreadyOwnedByYou"):
        server.aws("s3", "mb", f"s3://{BUCKET}")
    assert server.aws("s3", "cp", f"s3://{BUCKET}/a key + é", "-") == "two"
    assert "AES256" in server.aws("s3api", "get-bucket-encryption", "--bucket", BUCKET)
    assert arn in server.aws("s3api", "get-bucket-notification-configuration", "--bucket", BUCKET)
    received = server.sqs(
        "receive-message", "--queue-url", server.sqs("list-queues", "--query", "QueueUrls[0]")
    )
    assert BUCKET in received
    status = server.step_status(cluster_id, step_id)
    assert status["State"] == "FAILED"
    assert "endpoint ended while the step was running" in status["FailureDetails"]["Message"]
    described = json.loads(server.emr("describe-cluster", "--cluster-id", cluster_id))
    assert described["Cluster"]["Status"]["State"] == "WAITING"
    another = server.add_step(cluster_id, "true")
    server.emr("wait", "step-complete", "--cluster-id", cluster_id, "--step-id", another)


def test_a_killed_server_leaves_no_process_and_remembers_its_clusters(server: Server, tmp_path: Path) -> None:
    server.start()
    cluster_id = server.create_cluster()
    step_id, pid = running_step(server, cluster_id, tmp_path)
    server.stop(signal.SIGKILL)
    eventually(lambda: is_gone(pid), "the step's process is gone")
    server.start()
    assert server.step_status(cluster_id, step_id)["State"] == "FAILED"


def test_ending_ends_even_a_step_that_ignores_it(server: Server, tmp_path: Path) -> None:
    server.start()
    cluster_id = server.create_cluster()
    note = tmp_path / "pid"
    server.add_step(
        cluster_id, "bash", "-c", f"trap '' TERM INT; echo $$ > {note}; while true; do sleep 1; done"
    )
    eventually(lambda: note.exists() and note.read_text().strip(), "the step runs")
    assert server.stop() == 0
    assert is_gone(int(note.read_text()))


@pytest.mark.parametrize("damage", ["garbage", "another moto"])
def test_a_state_file_that_cannot_be_used_is_set_aside(server: Server, damage: str) -> None:
    server.start()
    server.aws("s3", "mb", f"s3://{BUCKET}")
    server.stop()
    state = server.state / "moto.state"
    header, _, rest = state.read_bytes().partition(b"\n")
    if damage == "garbage":
        state.write_bytes(header + b"\n" + rest[: len(rest) // 2])
    else:
        state.write_bytes(json.dumps(json.loads(header) | {"moto": "0.0.1"}).encode() + b"\n" + rest)
    server.start()
    assert server.aws("s3", "ls") == ""
    server.stop()
    assert "was set aside as" in server.output
    assert (server.state / "moto.unreadable").exists()


@pytest.mark.parametrize("option", ["--aws-port", "--emr-port"])
def test_a_port_in_use_is_one_clear_sentence_and_exit_code_2(server: Server, option: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = server.launch(option, str(port), "--env-file", str(server.env_file))
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert output.count("\n") == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in output
    assert not server.env_file.exists()


def test_a_state_directory_in_use_is_refused(server: Server) -> None:
    server.start()
    exports = server.env_file.read_text()
    second = server.launch("--env-file", str(server.env_file))
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 2
    assert "is in use by process" in output
    assert server.env_file.read_text() == exports


def test_a_python_without_pyspark_is_refused(server: Server) -> None:
    process = server.launch("--spark-python", sys.executable)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "cannot import pyspark" in output
