"""What a run asks for is accepted by local AWS, which then shows the same, field by field."""

from typing import Any

import pytest
from botocore.client import BaseClient

from fruit_pipeline.cluster.cluster_request import job_flow
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters

SCRIPT = "s3://fruits-test/artifacts/hard_lifetime.sh"
FULL = Deployment(
    subnet_id="subnet-1,subnet-2",
    node_security_group="sg-1",
    service_security_group="sg-2",
    security_configuration="sc",
    log_kms_key="arn:aws:kms:eu-west-1:123456789012:key/k",
)
PARAMETERS: list[dict[str, Any]] = [
    {},
    {"diversify": False, "worker_type": "c7g.4xlarge", "primary_type": "c6g.xlarge"},
    {"spot": "spot-or-on-demand", "primary_market": "on-demand", "max_workers": 9},
    {"spot": "on-demand", "interactive_minutes": 30, "workers": 5, "max_workers": 100},
]


@pytest.fixture(params=PARAMETERS, ids=lambda given: ",".join(given) or "defaults")
def asked(request: pytest.FixtureRequest) -> dict[str, Any]:
    return job_flow(
        RunParameters(bucket="fruits-test", **request.param), FULL, SCRIPT, "fruit_features", "run-1"
    )


@pytest.fixture
def cluster_id(emr: BaseClient, asked: dict[str, Any]) -> str:
    if "sc" not in [each["Name"] for each in emr.list_security_configurations()["SecurityConfigurations"]]:
        emr.create_security_configuration(Name="sc", SecurityConfiguration="{}")
    return str(emr.run_job_flow(**asked)["JobFlowId"])


def test_describe_cluster_shows_what_was_asked_for(
    emr: BaseClient, asked: dict[str, Any], cluster_id: str
) -> None:
    shown = emr.describe_cluster(ClusterId=cluster_id)["Cluster"]
    for name in (
        "Name",
        "ReleaseLabel",
        "ServiceRole",
        "Configurations",
        "SecurityConfiguration",
        "LogEncryptionKmsKeyId",
        "EbsRootVolumeSize",
        "StepConcurrencyLevel",
        "VisibleToAllUsers",
        "Tags",
    ):
        assert shown[name] == asked[name], name
    assert [each["Name"] for each in shown["Applications"]] == [
        each["Name"] for each in asked["Applications"]
    ]
    assert shown["LogUri"].partition("://")[2] == asked["LogUri"].partition("://")[2]
    assert shown["InstanceCollectionType"] == "INSTANCE_FLEET"
    wanted, ec2 = asked["Instances"], shown["Ec2InstanceAttributes"]
    assert ec2["IamInstanceProfile"] == asked["JobFlowRole"]
    assert ec2["RequestedEc2SubnetIds"] == wanted["Ec2SubnetIds"]
    for name in (
        "EmrManagedMasterSecurityGroup",
        "EmrManagedSlaveSecurityGroup",
        "ServiceAccessSecurityGroup",
    ):
        assert ec2[name] == wanted[name], name
    assert shown["AutoTerminate"] is not wanted["KeepJobFlowAliveWhenNoSteps"]
    assert shown["TerminationProtected"] == wanted["TerminationProtected"]


def test_the_fleets_are_those_asked_for_and_their_nodes_of_the_types_that_may_come(
    emr: BaseClient, asked: dict[str, Any], cluster_id: str
) -> None:
    listed = emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    for shown, wanted in zip(listed, asked["Instances"]["InstanceFleets"], strict=True):
        for name in (
            "Name",
            "InstanceFleetType",
            "TargetOnDemandCapacity",
            "TargetSpotCapacity",
            "LaunchSpecifications",
        ):
            assert shown[name] == wanted[name], name
        for type_shown, type_wanted in zip(
            shown["InstanceTypeSpecifications"], wanted["InstanceTypeConfigs"], strict=True
        ):
            assert type_wanted.items() <= type_shown.items()
        nodes = emr.list_instances(ClusterId=cluster_id, InstanceFleetId=shown["Id"])["Instances"]
        assert len(nodes) == wanted["TargetOnDemandCapacity"] + wanted["TargetSpotCapacity"]
        may_come = {each["InstanceType"] for each in wanted["InstanceTypeConfigs"]}
        assert {node["InstanceType"] for node in nodes} <= may_come


def test_policies_and_bootstrap_actions_are_those_asked_for(
    emr: BaseClient, asked: dict[str, Any], cluster_id: str
) -> None:
    idle = emr.get_auto_termination_policy(ClusterId=cluster_id)["AutoTerminationPolicy"]
    assert idle == asked["AutoTerminationPolicy"]
    scaling = emr.get_managed_scaling_policy(ClusterId=cluster_id).get("ManagedScalingPolicy")
    assert scaling == asked.get("ManagedScalingPolicy")
    [action] = emr.list_bootstrap_actions(ClusterId=cluster_id)["BootstrapActions"]
    script = asked["BootstrapActions"][0]["ScriptBootstrapAction"]
    assert action == {"Name": "hard_lifetime", "ScriptPath": script["Path"], "Args": script["Args"]}
