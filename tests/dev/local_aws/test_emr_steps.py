"""Steps run for real: their processes, their logs on S3, and their end in every case."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from local_aws.emr.localize import LocalizationError, Localizer
from local_aws.emr.spark_submit import Localized
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import ENDED, cluster_in, eventually, fleets, job_flow, step, step_in

SCRIPT_RUNNER = "s3://eu-west-1.elasticmapreduce/libs/script-runner/script-runner.jar"


def run(emr: BaseClient, bucket: str, *steps: dict[str, Any], **changes: Any) -> tuple[str, list[str]]:
    """A cluster with these steps: its id and theirs, in order."""
    flow = job_flow(LogUri=f"s3://{bucket}/logs/", Steps=list(steps), **changes)
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    listed = emr.list_steps(ClusterId=cluster_id)["Steps"]
    return cluster_id, [each["Id"] for each in reversed(listed)]


def log(s3: BaseClient, bucket: str, cluster_id: str, step_id: str, name: str) -> str:
    body = s3.get_object(Bucket=bucket, Key=f"logs/{cluster_id}/steps/{step_id}/{name}.gz")["Body"]
    return gzip.decompress(body.read()).decode()


def shell(script: str, **options: Any) -> dict[str, Any]:
    return step("bash", "-c", script, **options)


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def pids(path: Path) -> list[int]:
    """What a step wrote there, once it has written two of them."""

    def ask() -> list[int] | None:
        words = path.read_text().split() if path.exists() else []
        return [int(word) for word in words] if len(words) == 2 else None

    found: list[int] = eventually(ask, "the step says its process ids")
    return found


def stubborn(path: Path) -> str:
    """A script that ignores polite requests, and so does its child."""
    return f"trap '' TERM; sleep 300 & echo $$ $! > {path}; while true; do wait; done"


def test_a_step_leaves_its_logs_where_emr_puts_them(emr: BaseClient, s3: BaseClient, bucket: str) -> None:
    cluster_id, [step_id] = run(emr, bucket, shell("echo out; echo err >&2"))
    done = step_in(emr, cluster_id, step_id, *ENDED)["Status"]
    assert done["State"] == "COMPLETED"
    assert done["Timeline"].keys() == {"CreationDateTime", "StartDateTime", "EndDateTime"}
    assert log(s3, bucket, cluster_id, step_id, "stdout") == "out\n"
    assert log(s3, bucket, cluster_id, step_id, "stderr") == "err\n"
    assert "ended with exit code 0" in log(s3, bucket, cluster_id, step_id, "controller")


def test_a_failed_step_says_why_and_where_to_read_more(emr: BaseClient, bucket: str) -> None:
    cluster_id, [step_id] = run(
        emr,
        bucket,
        shell("echo 'ValueError: no images' >&2; echo bye >&2; exit 3", action="TERMINATE_CLUSTER"),
    )
    failed = step_in(emr, cluster_id, step_id, *ENDED)["Status"]
    assert failed["State"] == "FAILED"
    assert failed["FailureDetails"] == {
        "Reason": "Unknown Error.",
        "Message": "ValueError: no images",
        "LogFile": f"s3://{bucket}/logs/{cluster_id}/steps/{step_id}/stderr.gz",
    }
    ended = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]["StateChangeReason"]
    assert ended == {"Code": "STEP_FAILURE", "Message": "Shut down as step failed"}


@pytest.mark.parametrize(
    ("refused", "complaint"),
    [
        (step("no-such", jar=SCRIPT_RUNNER), "Cannot run program 'no-such'"),
        (step("s3://eu-west-1.elasticmapreduce/libs/x", jar=SCRIPT_RUNNER), "EMR's own bucket"),
        (step(jar=SCRIPT_RUNNER), "given no script"),
        (step("hive-script", "--run-hive-script"), "hive-script cannot be run here: it is not installed"),
        (step("/usr/bin/yarn", "top"), "yarn cannot be run here: it needs a server"),
        (step("hadoop", "namenode"), "hadoop namenode cannot be run here"),
        (step("run-example", "NoSuch"), "Spark's example 'NoSuch' cannot be run here"),
        (step("no-such-program"), "Cannot run program 'no-such-program'"),
        (step(), "given no command"),
        (step("spark-submit", "--nonsense", "m.py"), "no option '--nonsense'"),
        (
            step("spark-submit", "s3://no-such-bucket-here/m.py"),
            "s3://no-such-bucket-here/m.py cannot be read",
        ),
    ],
)
def test_a_step_that_cannot_run_here_fails_with_one_clear_sentence(
    emr: BaseClient, s3: BaseClient, refused: dict[str, Any], complaint: str
) -> None:
    s3.create_bucket(Bucket="refused", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    cluster_id, [step_id] = run(emr, "refused", refused)
    failed = step_in(emr, cluster_id, step_id, *ENDED)["Status"]
    assert failed["State"] == "FAILED"
    assert complaint in failed["FailureDetails"]["Message"]
    assert complaint in log(s3, "refused", cluster_id, step_id, "stderr")
    for key in s3.list_objects_v2(Bucket="refused")["Contents"]:
        s3.delete_object(Bucket="refused", Key=key["Key"])
    s3.delete_bucket(Bucket="refused")


def test_a_step_sees_the_local_aws_and_none_of_the_developers_environment(
    emr: BaseClient, s3: BaseClient, bucket: str, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of a real account")
    cluster_id, [step_id] = run(emr, bucket, step("env"))
    step_in(emr, cluster_id, step_id, "COMPLETED")
    seen = dict(line.split("=", 1) for line in log(s3, bucket, cluster_id, step_id, "stdout").splitlines())
    assert aws.environment.items() <= seen.items()
    assert not {"AIRFLOW_HOME", "AWS_SESSION_TOKEN"} & seen.keys()


def test_termination_kills_even_a_process_that_ignores_it(
    emr: BaseClient, s3: BaseClient, bucket: str, tmp_path: Path
) -> None:
    cluster_id, [step_id, pending] = run(emr, bucket, shell(stubborn(tmp_path / "pids")), shell("true"))
    processes = pids(tmp_path / "pids")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    assert not [pid for pid in processes if alive(pid)]
    assert step_in(emr, cluster_id, step_id, *ENDED)["Status"]["State"] == "INTERRUPTED"
    assert step_in(emr, cluster_id, pending, *ENDED)["Status"]["State"] == "CANCELLED"
    assert "exit code" in log(s3, bucket, cluster_id, step_id, "controller")


def test_a_cancelled_step_is_ended_and_the_next_one_runs(
    emr: BaseClient, bucket: str, tmp_path: Path
) -> None:
    cluster_id, steps = run(emr, bucket, shell(stubborn(tmp_path / "pids")), shell("true"), shell("true"))
    processes = pids(tmp_path / "pids")
    answers = emr.cancel_steps(
        ClusterId=cluster_id,
        StepIds=[*steps[:2], "s-UNKNOWN"],
        StepCancellationOption="TERMINATE_PROCESS",
    )["CancelStepsInfoList"]
    statuses = {each["StepId"]: each["Status"] for each in answers}
    assert statuses == {steps[0]: "SUBMITTED", steps[1]: "SUBMITTED", "s-UNKNOWN": "FAILED"}
    assert step_in(emr, cluster_id, steps[0], *ENDED)["Status"]["State"] == "CANCELLED"
    assert step_in(emr, cluster_id, steps[1], *ENDED)["Status"]["State"] == "CANCELLED"
    assert step_in(emr, cluster_id, steps[2], *ENDED)["Status"]["State"] == "COMPLETED"
    assert not [pid for pid in processes if alive(pid)]
    again = emr.cancel_steps(ClusterId=cluster_id, StepIds=[steps[0]])["CancelStepsInfoList"][0]
    assert (again["Status"], "CANCELLED" in again["Reason"]) == ("FAILED", True)


def test_two_steps_run_at_once_where_the_level_allows_it(
    emr: BaseClient, bucket: str, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    # Each waits for the other, so that neither can end if they run one after the other.
    scripts = [
        f"touch {mine}; until [ -e {other} ]; do sleep 0.05; done" for mine, other in ((one, two), (two, one))
    ]
    cluster_id, steps = run(emr, bucket, *map(shell, scripts), StepConcurrencyLevel=2)
    for step_id in steps:
        assert step_in(emr, cluster_id, step_id, *ENDED)["Status"]["State"] == "COMPLETED"


def test_a_transient_cluster_ends_when_its_steps_have(emr: BaseClient, bucket: str) -> None:
    transient = fleets(KeepJobFlowAliveWhenNoSteps=False)
    cluster_id, _ = run(emr, bucket, shell("true"), shell("true"), Instances=transient)
    ended = cluster_in(emr, cluster_id, "TERMINATED")["Status"]["StateChangeReason"]
    assert ended == {"Code": "ALL_STEPS_COMPLETED", "Message": "Steps completed"}


def test_a_log_bucket_that_is_missing_does_not_fail_the_step(emr: BaseClient) -> None:
    cluster_id, [step_id] = run(emr, "no-such-log-bucket", shell("true"))
    assert step_in(emr, cluster_id, step_id, *ENDED)["Status"]["State"] == "COMPLETED"


def archive(kind: str, name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as zipped:
            zipped.writestr(name, content)
    else:
        with tarfile.open(fileobj=buffer, mode="w:gz") as tarred:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tarred.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_is_unpacked_under_its_alias_and_again_only_when_it_changed(
    s3: BaseClient, bucket: str, tmp_path: Path, kind: str
) -> None:
    localizer = Localizer(s3, tmp_path / "cache")
    item = Localized(f"s3://{bucket}/a {kind}", "runtime", unpack=True)
    # Made once: an archive holds the time of its making, and would have changed a second later.
    archives = {version: archive(kind, "lib/a.py", version) for version in (b"one", b"two")}
    for version, expected_copies in ((b"one", 1), (b"one", 1), (b"two", 2)):
        s3.put_object(Bucket=bucket, Key=f"a {kind}", Body=archives[version])
        workdir = tmp_path / f"work-{len(list(tmp_path.iterdir()))}"
        localizer.localize([item], workdir)
        assert (workdir / "runtime/lib/a.py").read_bytes() == version
        assert len(list((tmp_path / "cache").iterdir())) == expected_copies


def linking(kind: bytes, target: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:
        entry = tarfile.TarInfo("lib/link")
        entry.type, entry.linkname = kind, target
        packed.addfile(entry)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        archive("tar.gz", "../out.py", b"x"),
        linking(tarfile.SYMTYPE, "../../out.py"),
        linking(tarfile.SYMTYPE, "/etc/hostname"),
        linking(tarfile.LNKTYPE, "../out.py"),
    ],
    # An archive's bytes hold the time it was made, and a name is the same in every process.
    ids=["a file", "a link", "an absolute link", "a hard link"],
)
def test_an_archive_that_reaches_outside_is_refused(
    s3: BaseClient, bucket: str, tmp_path: Path, content: bytes
) -> None:
    s3.put_object(Bucket=bucket, Key="bad.tar.gz", Body=content)
    item = Localized(f"s3://{bucket}/bad.tar.gz", "bad", unpack=True)
    with pytest.raises(LocalizationError, match="is not a readable archive"):
        Localizer(s3, tmp_path / "cache").localize([item], tmp_path / "work")
    assert not list(tmp_path.rglob("out.py"))
