"""`deploy` makes and updates the stack, `destroy` leaves nothing; with --dry-run neither does anything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.cluster.identity import cluster_tags
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from infra.__main__ import cli
from infra.linked_roles import LINKED_SERVICES
from infra.stack import TEMPLATE, Stack
from local_aws.server import LocalAws
from tests.conftest import REPOSITORY
from tests.deploy.infra.moto_account import BUCKET, NOT_IN_MOTO, client, finish_bucket
from tests.deploy.infra.template_data import load, made_by_request, security_configuration

CALLS_OF_A_SESSION = {
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
}
"""What the agent on a node calls to hold sessions (Systems Manager User Guide, "Create a custom IAM role for
Session Manager"). The documentation alone says so: moto refuses no node anything of it."""


def run(*arguments: str, answer: str | None = None) -> Any:
    return CliRunner().invoke(cli, arguments, input=answer, catch_exceptions=False)


def stack(aws: LocalAws) -> Stack:
    return Stack(client(aws, "cloudformation"), "fruit-features")


def made_as(aws: LocalAws, logical: str, name: str = "fruit-features") -> str:
    """The name or id of what a resource of the template became in a stack."""
    resources = Stack(client(aws, "cloudformation"), name).resources()
    [made] = [each for each in resources if each["LogicalResourceId"] == logical]
    return str(made["PhysicalResourceId"])


def interface_endpoints(aws: LocalAws, vpc: str) -> set[str]:
    """The services that a network has endpoints for which cost money."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    found = client(aws, "ec2").describe_vpc_endpoints(Filters=filters)["VpcEndpoints"]
    return {each["ServiceName"] for each in found if each["VpcEndpointType"] == "Interface"}


def test_it_asks_for_a_bucket_name_the_first_time(aws: LocalAws) -> None:
    done = run("deploy", "--yes")
    assert done.exit_code == 2
    assert "give --bucket a name that nobody in AWS has yet" in " ".join(done.stderr.replace("│", "").split())


def test_a_dry_run_shows_every_resource_and_makes_none(aws: LocalAws) -> None:
    done = run("deploy", "--bucket", BUCKET, "--dry-run")
    assert done.exit_code == 0, done.output
    for name in ("Bucket", "AirflowRole", "S3Endpoint"):
        assert name in done.output
    assert "Nothing was changed" in done.output
    assert stack(aws).describe() is None
    assert client(aws, "s3").list_buckets()["Buckets"] == []


def test_a_no_makes_nothing(aws: LocalAws) -> None:
    done = run("deploy", "--bucket", BUCKET, answer="n\n")
    assert "Nothing was changed" in done.output
    assert stack(aws).describe() is None


@pytest.mark.parametrize("command", ["deploy", "destroy"])
def test_a_question_that_nobody_answers_makes_nothing_and_says_so(aws: LocalAws, command: str) -> None:
    if command == "destroy":
        assert run("deploy", "--bucket", BUCKET, "--yes").exit_code == 0
    before = (stack(aws).describe() or {}).get("StackStatus")
    words = [command] + (["--bucket", BUCKET] if command == "deploy" else [])
    done = subprocess.run(
        [sys.executable, "-m", "infra", *words],
        env={**os.environ, **aws.environment},
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].endswith(
        "Nobody answered, so nothing was changed: answer, or give --yes."
    )
    assert (stack(aws).describe() or {}).get("StackStatus") == before


@pytest.fixture
def deployed(aws: LocalAws) -> str:
    """What deploy printed; the stack and its bucket are there afterwards."""
    done = run("deploy", "--bucket", BUCKET, "--yes")
    assert done.exit_code == 0, done.output
    finish_bucket(client(aws, "s3"), BUCKET)
    return done.output


def test_every_resource_that_moto_can_make_is_there(aws: LocalAws, deployed: str) -> None:
    made = {each["LogicalResourceId"] for each in stack(aws).resources()}
    expected = {
        name
        for name, resource in load()["Resources"].items()
        if resource["Type"] not in NOT_IN_MOTO and not made_by_request(resource)
    }
    assert expected <= made


def test_sessions_are_opened_only_where_a_parameter_asks_for_them(aws: LocalAws, deployed: str) -> None:
    """Role and network alone: no agent runs. A stack of its own, for updates of moto overlook conditions."""
    iam = client(aws, "iam")
    assert iam.list_role_policies(RoleName=made_as(aws, "NodeRole"))["PolicyNames"] == ["steps"]
    assert interface_endpoints(aws, made_as(aws, "Vpc")) == set()

    settings = ("--set", "SessionManager=true", "--set", "Installation=orchard")
    done = run("deploy", "--stack", "with-sessions", "--bucket", "fruits-sessions", *settings, "--yes")
    assert done.exit_code == 0, done.output
    services = {"com.amazonaws.eu-west-1.ssm", "com.amazonaws.eu-west-1.ssmmessages"}
    vpc, role = (made_as(aws, logical, "with-sessions") for logical in ("Vpc", "NodeRole"))
    assert interface_endpoints(aws, vpc) == services
    document = iam.get_role_policy(RoleName=role, PolicyName="sessions")["PolicyDocument"]
    given = {action for each in document["Statement"] for action in each["Action"]}
    assert given == CALLS_OF_A_SESSION, "no commands, no parameters, no inventory"

    done = run("destroy", "--stack", "with-sessions", answer="fruits-sessions\n")
    assert done.exit_code == 0, done.output
    assert interface_endpoints(aws, vpc) == set()


def test_the_exports_are_settings_that_airflow_takes(
    aws: LocalAws, deployed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in run("env").output.splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        monkeypatch.setenv(name, value.strip("'"))
    deployment = Deployment()
    assert deployment.bucket == BUCKET
    iam = client(aws, "iam")
    assert iam.get_role(RoleName=deployment.service_role)
    assert iam.get_instance_profile(InstanceProfileName=deployment.instance_profile)
    request = job_flow(RunParameters(bucket=BUCKET), deployment, f"s3://{BUCKET}/x.sh", "d", "r")
    assert len(request["Instances"]["Ec2SubnetIds"]) == 3
    assert request["Instances"]["ServiceAccessSecurityGroup"].startswith("sg-")
    assert request["Instances"]["EmrManagedMasterSecurityGroup"] == deployment.node_security_group
    assert request["SecurityConfiguration"] == deployment.security_configuration


def test_the_security_configuration_is_what_emr_accepts(aws: LocalAws) -> None:
    emr = client(aws, "emr")
    document = json.dumps(security_configuration())
    emr.create_security_configuration(Name="as-deployed", SecurityConfiguration=document)
    shown = json.loads(emr.describe_security_configuration(Name="as-deployed")["SecurityConfiguration"])
    assert shown["EncryptionConfiguration"]["EnableAtRestEncryption"] is True
    emr.delete_security_configuration(Name="as-deployed")


def test_a_changed_parameter_is_an_update_and_the_others_keep_their_values(
    aws: LocalAws, deployed: str
) -> None:
    done = run("deploy", "--set", "Installation=orchard", "--yes")
    assert done.exit_code == 0, done.output
    assert stack(aws).outputs()["Installation"] == "orchard"
    assert stack(aws).outputs()["Bucket"] == BUCKET, "a parameter that is not given keeps its value"
    run("deploy", "--set", "Installation=fruits", "--yes")
    assert "nothing to do" in run("deploy", "--set", "Installation=fruits", "--yes").output


def test_a_changed_template_is_shown_and_made(
    aws: LocalAws, deployed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = tmp_path / "template.yaml"
    changed.write_text(TEMPLATE.read_text().replace("VisibilityTimeout: 120", "VisibilityTimeout: 240"))
    monkeypatch.setattr("infra.stack.TEMPLATE", changed)
    done = run("deploy", "--yes")
    assert "Modify" in done.output
    assert "Queue" in done.output
    url = stack(aws).outputs()["QueueUrl"]
    asked = client(aws, "sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert asked["Attributes"]["VisibilityTimeout"] == "240"


def test_the_linked_roles_are_made_once(aws: LocalAws, deployed: str) -> None:
    iam = client(aws, "iam")
    for service in LINKED_SERVICES:
        assert len(iam.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"]) == 1
    assert "Created" not in run("deploy", "--set", "TemporaryDays=20", "--yes").output


def test_destroy_needs_the_buckets_name(aws: LocalAws, deployed: str) -> None:
    client(aws, "s3").put_object(Bucket=BUCKET, Key="Test/Apple/1.jpg", Body=b"photo")
    for answer in ("y\n", "\n"):
        assert "Nothing was changed" in run("destroy", answer=answer).output
    assert "Nothing was changed" in run("destroy", "--dry-run").output
    assert client(aws, "s3").head_object(Bucket=BUCKET, Key="Test/Apple/1.jpg")


def test_destroy_ends_clusters_empties_the_bucket_and_leaves_nothing(aws: LocalAws, deployed: str) -> None:
    s3, emr = client(aws, "s3"), client(aws, "emr")
    for body in (b"one", b"two"):
        s3.put_object(Bucket=BUCKET, Key="Test/Apple/é+ %.jpg", Body=body)
    s3.delete_object(Bucket=BUCKET, Key="Test/Apple/é+ %.jpg")
    s3.create_multipart_upload(Bucket=BUCKET, Key="artifacts/unfinished")
    tags = [{"Key": key, "Value": value} for key, value in cluster_tags("fruits", "d", "r").items()]
    request = job_flow(RunParameters(bucket=BUCKET), Deployment(), f"s3://{BUCKET}/x.sh", "d", "r")
    cluster = emr.run_job_flow(**request | {"Tags": tags, "BootstrapActions": []})["JobFlowId"]
    vpc = next(each for each in stack(aws).resources() if each["LogicalResourceId"] == "Vpc")
    client(aws, "ec2").create_vpc_endpoint(
        VpcId=vpc["PhysicalResourceId"],
        ServiceName="com.amazonaws.eu-west-1.elasticmapreduce",
        VpcEndpointType="Interface",
        TagSpecifications=[
            {"ResourceType": "vpc-endpoint", "Tags": [{"Key": "Name", "Value": "emr-service-vpce"}]}
        ],
    )
    done = run("destroy", answer=f"{BUCKET}\n")
    assert done.exit_code == 0, done.output
    assert "nothing with the installation's tags is left" in done.output
    assert emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"].startswith("TERMINATED")
    assert s3.list_buckets()["Buckets"] == []
    ec2 = client(aws, "ec2")
    assert [each for each in ec2.describe_vpcs()["Vpcs"] if not each["IsDefault"]] == []
    endpoints = ec2.describe_vpc_endpoints(Filters=[{"Name": "tag:Name", "Values": ["emr-service-vpce"]}])
    assert [each["State"] for each in endpoints["VpcEndpoints"]] == ["deleted"]
    assert client(aws, "sqs").list_queues().get("QueueUrls", []) == []
    names = [role["RoleName"] for role in client(aws, "iam").list_roles()["Roles"]]
    assert [name for name in names if not name.startswith("AWSServiceRoleFor")] == []
    assert stack(aws).describe() is None
    assert "nothing to do" in run("destroy").output
