"""What EMR refuses is refused, with its error code: by the model first, by its rules after that."""

from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.emr.api_errors import ValidationError
from local_aws.emr.validation import validate
from tests.dev.local_aws.emr_client import cluster_in, fleet, fleets, groups, job_flow, step

UNKNOWN = "j-NOSUCHCLUSTER"


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"Name": None}, "Value null at 'name' failed to satisfy constraint: Member must not be null"),
        ({"Name": 7}, "can not be converted to String"),
        ({"Name": "x" * 257}, "Member must have length less than or equal to 256"),
        ({"Name": "bell \x07"}, "regular expression pattern"),
        ({"Nmae": "x"}, "Unknown parameter 'Nmae'"),
        (
            {"StepConcurrencyLevel": "2"},
            "Value '2' at 'stepConcurrencyLevel' can not be converted to Integer",
        ),
        ({"StepConcurrencyLevel": True}, "can not be converted to Integer"),
        ({"ScaleDownBehavior": "NEVER"}, "Member must satisfy enum value set: [TERMINATE_AT_INSTANCE_HOUR"),
        ({"Steps": [{"Name": "s"}]}, "Value null at 'steps.1.member.hadoopJarStep'"),
        ({"Instances": {"InstanceFleets": [{}]}}, "'instances.instanceFleets.1.member.instanceFleetType'"),
        ({"Tags": {"Key": "x"}}, "at 'tags' can not be converted to List"),
    ],
)
def test_the_model_refuses(changes: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate("RunJobFlow", job_flow(**changes))
    assert caught.value.message.startswith("1 validation error detected: ")
    assert complaint in caught.value.message


def test_several_faults_are_told_together() -> None:
    with pytest.raises(ValidationError, match="2 validation errors detected: "):
        validate("DescribeStep", {})


def test_text_beyond_the_basic_plane_is_accepted() -> None:
    validate("RunJobFlow", job_flow(Name="pêche 🍑"))


CORE = fleet("CORE", "m6g.xlarge", 2)
MASTER = fleet("MASTER", "m6g.xlarge", 1)
SPOT = {"TimeoutAction": "TERMINATE_CLUSTER"}


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ReleaseLabel": "emr-99.0.0"}, "The supplied release label is invalid: emr-99.0.0."),
        ({"AmiVersion": "3.11"}, "Only one AMI version and release label may be specified."),
        ({"Applications": [{"Name": "Sprak"}]}, "'Sprak' is not supported"),
        ({"JobFlowRole": ""}, "InstanceProfile is required for creating cluster."),
        ({"ServiceRole": ""}, "ServiceRole is required for creating cluster."),
        ({"SecurityConfiguration": "none"}, "Security configuration with name 'none' does not exist."),
        ({"LogUri": "file:///tmp"}, "must be an Amazon S3 address"),
        ({"StepConcurrencyLevel": 0}, "StepConcurrencyLevel must be between 1 and 256, not 0."),
        ({"StepConcurrencyLevel": 257}, "StepConcurrencyLevel must be between 1 and 256, not 257."),
        (
            {"AutoTerminationPolicy": {"IdleTimeout": 59}},
            "IdleTimeout must be between 60 and 604800, not 59.",
        ),
        ({"AutoTerminationPolicy": {"IdleTimeout": 604_801}}, "between 60 and 604800"),
        ({"Steps": [step("true")] * 257}, "Maximum number of active steps"),
        ({"Steps": [step("x" * 10241)]}, "the limit is 10240"),
        ({"Steps": [step(action="TERMINATE_CLUSTER")], "StepConcurrencyLevel": 2}, "ActionOnFailure"),
        ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "50 tags at most"),
        ({"Tags": [{"Key": "aws:x", "Value": ""}]}, "reserved"),
        ({"Instances": {}}, "must specify InstanceFleets, InstanceGroups or MasterInstanceType"),
        ({"Instances": fleets(MasterInstanceType="m6g.xlarge")}, "mutually exclusive"),
        (
            {
                "Instances": fleets(
                    InstanceGroups=[
                        {"InstanceRole": "MASTER", "InstanceType": "m6g.xlarge", "InstanceCount": 1}
                    ]
                )
            },
            "mutually exclusive",
        ),
        ({"Instances": fleets(Ec2SubnetId="subnet-1", Ec2SubnetIds=["subnet-1"])}, "Only one of Ec2SubnetId"),
        (
            {"Instances": fleets(Ec2SubnetIds=["s-1"], Placement={"AvailabilityZone": "eu-west-1a"})},
            "both a cluster subnet and availability zone",
        ),
        ({"Instances": groups(Ec2SubnetIds=["s-1", "s-2"])}, "with instance fleets only"),
        ({"Instances": {"InstanceFleets": [CORE]}}, "exactly one master fleet"),
        ({"Instances": {"InstanceFleets": [MASTER, MASTER]}}, "exactly one master fleet"),
        ({"Instances": {"InstanceFleets": [fleet("MASTER", "m6g.xlarge", 2)]}}, "target capacity of 1"),
        ({"Instances": {"InstanceFleets": [MASTER | {"InstanceTypeConfigs": []}]}}, "0 InstanceTypeConfigs"),
        (
            {"Instances": {"InstanceFleets": [MASTER, fleet("CORE", "m6g.large", 2)]}},
            "Instance type 'm6g.large' is not supported.",
        ),
        ({"Instances": groups(SlaveInstanceType="r7g.large")}, "Instance type 'r7g.large' is not supported."),
        (
            {
                "Instances": {
                    "InstanceFleets": [
                        MASTER
                        | {
                            "LaunchSpecifications": {
                                "SpotSpecification": SPOT | {"TimeoutDurationMinutes": 4}
                            }
                        }
                    ]
                }
            },
            "TimeoutDurationMinutes must be between 5 and 1440, not 4.",
        ),
        (
            {
                "ManagedScalingPolicy": {
                    "ComputeLimits": {
                        "UnitType": "Instances",
                        "MinimumCapacityUnits": 1,
                        "MaximumCapacityUnits": 2,
                    }
                }
            },
            "UnitType Instances does not fit instance fleets",
        ),
    ],
)
def test_run_job_flow_refuses(emr: BaseClient, changes: dict[str, Any], complaint: str) -> None:
    before = len(emr.list_clusters()["Clusters"])
    code, message = refused(emr.run_job_flow, **job_flow(**changes))
    assert code == "ValidationException"
    assert complaint in message
    assert len(emr.list_clusters()["Clusters"]) == before


def test_an_unknown_cluster_has_the_error_of_each_kind_of_operation(emr: BaseClient) -> None:
    invalid = ("InvalidRequestException", f"Cluster id '{UNKNOWN}' is not valid.")
    assert refused(emr.describe_cluster, ClusterId=UNKNOWN) == invalid
    assert refused(emr.list_steps, ClusterId=UNKNOWN) == invalid
    assert refused(emr.add_tags, ResourceId=UNKNOWN, Tags=[{"Key": "a", "Value": "b"}]) == invalid
    missing = ("ValidationException", "Specified job flow ID does not exist.")
    assert refused(emr.terminate_job_flows, JobFlowIds=[UNKNOWN]) == missing
    assert refused(emr.add_job_flow_steps, JobFlowId=UNKNOWN, Steps=[step("true")]) == missing


def test_a_protected_cluster_cannot_be_terminated_nor_those_named_with_it(emr: BaseClient) -> None:
    kept = emr.run_job_flow(**job_flow(Instances=fleets(TerminationProtected=True)))["JobFlowId"]
    other = emr.run_job_flow(**job_flow())["JobFlowId"]
    code, message = refused(emr.terminate_job_flows, JobFlowIds=[other, kept])
    assert code == "ValidationException"
    assert message == "Could not shut down one or more job flows since they are termination protected."
    for cluster_id in (kept, other):
        cluster_in(emr, cluster_id, "WAITING")
    emr.set_termination_protection(JobFlowIds=[kept], TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=[kept])
    cluster_in(emr, kept, "TERMINATED")


def test_a_terminated_cluster_takes_no_steps_and_no_policy_but_may_be_terminated_again(
    emr: BaseClient,
) -> None:
    cluster_id = emr.run_job_flow(**job_flow())["JobFlowId"]
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    code, message = refused(emr.add_job_flow_steps, JobFlowId=cluster_id, Steps=[step("true")])
    assert (code, message) == (
        "ValidationException",
        "A job flow that is shutting down, terminated, or finished may not be modified.",
    )
    assert (
        refused(
            emr.put_auto_termination_policy, ClusterId=cluster_id, AutoTerminationPolicy={"IdleTimeout": 60}
        )[0]
        == "InvalidRequestException"
    )
    emr.terminate_job_flows(JobFlowIds=[cluster_id])


def test_fleets_and_groups_are_listed_by_their_own_operation_only(emr: BaseClient) -> None:
    of_fleets = emr.run_job_flow(**job_flow())["JobFlowId"]
    of_groups = emr.run_job_flow(**job_flow(Instances=groups()))["JobFlowId"]
    for call, cluster_id in ((emr.list_instance_groups, of_fleets), (emr.list_instance_fleets, of_groups)):
        code, message = refused(call, ClusterId=cluster_id)
        assert code == "InvalidRequestException"
        assert message.startswith("Instance fleets and instance groups are mutually exclusive.")


def test_a_marker_that_was_never_given_is_refused(emr: BaseClient) -> None:
    assert refused(emr.list_clusters, Marker="made up") == (
        "InvalidRequestException",
        "Marker 'made up' is not valid.",
    )
