"""Bootstrap actions run for real, on a simulated primary that they can shut down but not this machine."""

import gzip
import time
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

from local_aws.emr.bootstrap import LocalBootstrap
from local_aws.emr.cluster_data import Cluster
from local_aws.emr.clusters import USER_REQUEST
from local_aws.emr.instances import provision
from local_aws.emr.localize import Localizer
from local_aws.server import LocalAws
from tests.dev.local_aws.emr_client import TIME_FACTOR, cluster_in, fleets, job_flow, step


def action(s3: BaseClient, bucket: str, script: str, *args: str, key: str = "set-up.sh") -> dict[str, Any]:
    """A bootstrap action that runs ``script``, once it has been put on S3."""
    s3.put_object(Bucket=bucket, Key=key, Body=script.encode())
    return {"Name": key, "ScriptBootstrapAction": {"Path": f"s3://{bucket}/{key}", "Args": list(args)}}


def start(emr: BaseClient, bucket: str, *actions: dict[str, Any], **changes: Any) -> str:
    flow = job_flow(LogUri=f"s3://{bucket}/logs/", BootstrapActions=list(actions), **changes)
    cluster_id: str = emr.run_job_flow(**flow)["JobFlowId"]
    return cluster_id


def primary(emr: BaseClient, cluster_id: str) -> Any:
    return emr.list_instances(ClusterId=cluster_id, InstanceFleetType="MASTER")["Instances"][0]


def log(emr: BaseClient, s3: BaseClient, bucket: str, cluster_id: str, name: str, number: int = 1) -> str:
    node = primary(emr, cluster_id)["Ec2InstanceId"]
    key = f"logs/{cluster_id}/node/{node}/bootstrap-actions/{number}/{name}.gz"
    return gzip.decompress(s3.get_object(Bucket=bucket, Key=key)["Body"].read()).decode()


def test_actions_run_in_their_order_with_their_arguments_and_leave_logs_where_emr_puts_them(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    note = f"s3://{bucket}/set-up.sh"
    first = action(s3, bucket, 'echo "$1/$2"; echo careful >&2; sudo -n -E ONE=1 env | grep ONE', "a b", "c")
    second = action(s3, bucket, "ls", key="second.sh")
    cluster_id = start(emr, bucket, first, second)
    cluster_in(emr, cluster_id, "WAITING")
    assert log(emr, s3, bucket, cluster_id, "stdout") == "a b/c\nONE=1\n"
    assert log(emr, s3, bucket, cluster_id, "stderr") == "careful\n"
    assert "exit code 0" in log(emr, s3, bucket, cluster_id, "controller")
    assert log(emr, s3, bucket, cluster_id, "stdout", 2) == "script\n", "each has a folder of its own"
    listed = emr.list_bootstrap_actions(ClusterId=cluster_id)["BootstrapActions"]
    assert listed[0] == {"Name": "set-up.sh", "ScriptPath": note, "Args": ["a b", "c"]}


def test_an_action_learns_when_its_node_booted_and_not_this_machine(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    ask = 'echo $(($(date +%s) - $(date -d "$(uptime -s)" +%s)))'
    cluster_id = start(emr, bucket, action(s3, bucket, ask))
    cluster_in(emr, cluster_id, "WAITING")
    assert int(log(emr, s3, bucket, cluster_id, "stdout")) < 60


def test_an_action_sees_local_aws_and_nothing_of_the_developers_environment(
    aws: LocalAws, emr: BaseClient, s3: BaseClient, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    cluster_id = start(emr, bucket, action(s3, bucket, "env"))
    cluster_in(emr, cluster_id, "WAITING")
    lines = log(emr, s3, bucket, cluster_id, "stdout").splitlines()
    seen = dict(line.split("=", 1) for line in lines)
    assert aws.environment.items() <= seen.items()
    own = {"PATH", "HOME", "TMPDIR", "LANG", "USER", "EMR_CLUSTER_ID", "PWD", "SHLVL", "_"}
    assert seen.keys() - aws.environment.keys() <= own


def test_a_failed_action_ends_the_cluster_and_later_ones_do_not_run(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    failing = action(s3, bucket, "echo 'no such package' >&2; exit 3")
    cluster_id = start(emr, bucket, failing, action(s3, bucket, "true", key="later.sh"))
    reason = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]["StateChangeReason"]
    node = primary(emr, cluster_id)["Ec2InstanceId"]
    assert reason == {
        "Code": "BOOTSTRAP_FAILURE",
        "Message": f"On the master instance ({node}), bootstrap action 1 returned a non-zero return code",
    }
    assert log(emr, s3, bucket, cluster_id, "stderr") == "no such package\n"
    with pytest.raises(s3.exceptions.NoSuchKey):
        log(emr, s3, bucket, cluster_id, "stderr", 2)


def test_an_action_whose_script_is_missing_ends_the_cluster(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    gone = {"Name": "gone", "ScriptBootstrapAction": {"Path": f"s3://{bucket}/gone.sh"}}
    cluster_id = start(emr, bucket, action(s3, bucket, "true"), gone)
    reason = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")["Status"]["StateChangeReason"]
    assert reason["Code"] == "BOOTSTRAP_FAILURE"
    assert reason["Message"].endswith("failed attempting to download bootstrap action 2 file from S3")


def test_a_cluster_can_be_terminated_while_an_action_runs(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    cluster_id = start(emr, bucket, action(s3, bucket, "trap '' TERM; while true; do sleep 1; done"))
    cluster_in(emr, cluster_id, "BOOTSTRAPPING")
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    reason = cluster_in(emr, cluster_id, "TERMINATED")["Status"]["StateChangeReason"]
    assert reason == {"Code": USER_REQUEST.code, "Message": USER_REQUEST.message}


@pytest.mark.parametrize("command", ["sudo shutdown -h +90", "sudo /sbin/shutdown -P +90 'time is up'"])
def test_a_scheduled_shutdown_ends_even_a_protected_cluster_with_a_step_running(
    emr: BaseClient, s3: BaseClient, bucket: str, command: str
) -> None:
    protected = fleets(TerminationProtected=True)
    endless = step("bash", "-c", "trap '' TERM; while true; do sleep 1; done")
    cluster_id = start(
        emr, bucket, action(s3, bucket, command), Instances=protected, Steps=[endless, step("true")]
    )
    ended = cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")
    assert ended["Status"]["StateChangeReason"] == {
        "Code": "INSTANCE_FAILURE",
        "Message": "The master node was terminated.",
    }
    assert ended["TerminationProtected"] is True
    timeline = ended["Status"]["Timeline"]
    assert (timeline["EndDateTime"] - timeline["ReadyDateTime"]).total_seconds() < 20
    status = primary(emr, cluster_id)["Status"]
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED", "INSTANCE_FAILURE")
    steps = emr.list_steps(ClusterId=cluster_id)["Steps"]
    assert [each["Status"]["State"] for each in steps] == ["CANCELLED", "CANCELLED"]


def test_a_shutdown_now_does_not_wait_for_the_action_and_one_called_off_never_comes(
    emr: BaseClient, s3: BaseClient, bucket: str
) -> None:
    at_once = start(emr, bucket, action(s3, bucket, "shutdown -h now; sleep 60"))
    called_off = start(
        emr, bucket, action(s3, bucket, "shutdown -h +60; sleep 0.2; shutdown -c", key="called-off.sh")
    )
    cluster_in(emr, at_once, "TERMINATED_WITH_ERRORS")
    cluster_in(emr, called_off, "WAITING")
    limit = 60 * 60 / TIME_FACTOR
    time.sleep(1.5 * limit)  # a thing that must not happen cannot be awaited
    assert cluster_in(emr, called_off, "WAITING")["Status"]["StateChangeReason"]["Message"]


@pytest.mark.parametrize(
    ("command", "complaint"),
    [("shutdown -r now", "-r is not understood"), ("shutdown 22:00", "22:00 is not understood")],
)
def test_a_shutdown_that_cannot_be_simulated_says_so_and_fails_the_action(
    emr: BaseClient, s3: BaseClient, bucket: str, command: str, complaint: str
) -> None:
    cluster_id = start(emr, bucket, action(s3, bucket, command))
    cluster_in(emr, cluster_id, "TERMINATED_WITH_ERRORS")
    assert complaint in log(emr, s3, bucket, cluster_id, "stderr")


def test_an_action_that_never_ends_is_ended(s3: BaseClient, bucket: str, tmp_path: Path) -> None:
    endless = action(s3, bucket, "trap '' TERM; while true; do sleep 1; done")
    request = job_flow(BootstrapActions=[endless])
    cluster = Cluster(
        region="eu-west-1", request=request, created_at=0, entered_at=0, keep_alive=True, protected=False
    )
    provision(cluster, 0)
    runner = LocalBootstrap(s3, Localizer(s3, tmp_path / "cache"), {}, tmp_path / "nodes", timeout=0.2)
    ends: list[str | None] = []
    runner.start(cluster, lambda _: None, ends.append)
    thread = runner._running[cluster.id].thread
    assert thread is not None
    thread.join(20)
    assert ends == [f"On the master instance ({cluster.primary.ec2_id}), bootstrap action 1 timed out"]
