"""The AWS CLI makes its default roles, and a cluster that runs each type of step."""

import gzip
import json
from pathlib import Path

import pytest
from botocore.client import BaseClient

from local_aws.server import LocalAws
from tests.clients.conftest import CLIENTS, Run, failures

STEPS = [
    {
        "Type": "STREAMING",
        "Name": "count",
        "Args": ["-input", "s3://cli/in", "-output", "hdfs:///out", "-mapper", "cat", "-reducer", "uniq -c"],
    },
    {
        "Type": "CUSTOM_JAR",
        "Name": "copy",
        "Jar": "command-runner.jar",
        "Args": ["s3-dist-cp", "--src", "hdfs:///out", "--dest", "s3://cli/out"],
    },
    {
        "Type": "CUSTOM_JAR",
        "Name": "pi",
        "Jar": "/usr/lib/hadoop-mapreduce/hadoop-mapreduce-examples.jar",
        "Args": ["pi", "2", "5"],
    },
    {
        "Type": "CUSTOM_JAR",
        "Name": "script",
        "Jar": "s3://eu-west-1.elasticmapreduce/libs/script-runner/script-runner.jar",
        "Args": ["s3://cli/script.sh"],
    },
]
SCRIPT = "#!/bin/bash -e\naws s3 ls s3://cli/out/\nhdfs dfs -ls /out\n"


@pytest.fixture
def cli(aws: LocalAws, run: Run) -> Run:
    def cli(service: str, *arguments: str) -> str:
        # The CLI's commands of EMR look into no variable for the endpoint.
        endpoint = ("--endpoint-url", aws.emr_url) if service == "emr" else ()
        return run(CLIENTS / "aws", service, *arguments, *endpoint, "--output", "json")

    return cli


def test_a_cluster_with_default_roles_runs_every_type_of_step_and_ends_itself(
    emr: BaseClient, run: Run, cli: Run, tmp_path: Path
) -> None:
    roles = json.loads(run(CLIENTS / "aws", "emr", "create-default-roles", "--output", "json"))
    assert [each["Role"]["RoleName"] for each in roles] == [
        "EMR_EC2_DefaultRole",
        "EMR_DefaultRole",
        "EMR_AutoScaling_DefaultRole",
    ]
    cli("s3", "mb", "s3://cli")
    for name, text in (("in/words", "fig\nfig\npear\n"), ("script.sh", SCRIPT)):
        (tmp_path / "object").write_text(text)
        cli("s3", "cp", "object", f"s3://cli/{name}")
    (tmp_path / "steps.json").write_text(json.dumps(STEPS))
    created = cli(
        *(
            "emr",
            "create-cluster",
            "--use-default-roles",
            "--release-label",
            "emr-7.5.0",
            "--enable-debugging",
        ),
        *(
            "--applications",
            "Name=spark",
            "Name=jupyterhub",
            "--log-uri",
            "s3://cli/logs",
            "--auto-terminate",
        ),
        *("--instance-groups", "InstanceGroupType=MASTER,InstanceCount=1,InstanceType=m5.xlarge"),
        *("InstanceGroupType=CORE,InstanceCount=2,InstanceType=m5.xlarge", "--steps", "file://steps.json"),
    )
    cluster_id = json.loads(created)["ClusterId"]
    active = json.loads(cli("emr", "list-clusters", "--active"))["Clusters"]
    assert [each["Id"] for each in active] == [cluster_id]
    cli("emr", "wait", "cluster-terminated", "--cluster-id", cluster_id)

    assert failures(emr, cluster_id) == []
    cluster = json.loads(cli("emr", "describe-cluster", "--cluster-id", cluster_id))["Cluster"]
    assert (cluster["ServiceRole"], cluster["Status"]["State"]) == ("EMR_DefaultRole", "TERMINATED")
    assert cluster["Applications"] == [
        {"Name": "Spark", "Version": "3.5.2"},
        {"Name": "JupyterHub", "Version": "1.5.0"},
    ]
    cli("s3", "cp", "--recursive", "s3://cli/out", "counts")
    assert (tmp_path / "counts" / "part-00000").read_text().split() == ["2", "fig", "1", "pear"]
    script = next(s["Id"] for s in emr.list_steps(ClusterId=cluster_id)["Steps"] if s["Name"] == "script")
    cli("s3", "cp", f"s3://cli/logs/{cluster_id}/steps/{script}/stdout.gz", "stdout.gz")
    said = gzip.decompress((tmp_path / "stdout.gz").read_bytes()).decode()
    assert "part-00000" in said
    assert "/out/part-00000" in said
