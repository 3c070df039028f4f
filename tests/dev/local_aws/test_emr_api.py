"""Unmodified boto3 reads and changes clusters as it does on AWS."""

import json
import urllib.error
import urllib.request
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.server import LocalAws, Settings, SetUpError
from tests.dev.local_aws.emr_client import (
    client,
    cluster_in,
    eventually,
    fleet,
    fleets,
    groups,
    job_flow,
    step,
)


def test_the_recorded_cluster_is_described_as_emr_describes_it(emr: BaseClient) -> None:
    request = job_flow(
        LogUri="s3://bucket/logs",
        Instances=fleets(Ec2SubnetIds=["subnet-1", "subnet-2"], Ec2KeyName="key"),
        Tags=[{"Key": "for", "Value": "tests"}],
        AutoTerminationPolicy={"IdleTimeout": 604_800},
    )
    answer = emr.run_job_flow(**request)
    cluster_id = answer["JobFlowId"]
    assert answer["ClusterArn"] == f"arn:aws:elasticmapreduce:eu-west-1:123456789012:cluster/{cluster_id}"
    cluster = cluster_in(emr, cluster_id, "WAITING")
    assert cluster["LogUri"] == "s3n://bucket/logs/"
    assert cluster["InstanceCollectionType"] == "INSTANCE_FLEET"
    assert cluster["Applications"] == [{"Name": "Spark", "Version": "3.5.6"}]
    assert cluster["Tags"] == [{"Key": "for", "Value": "tests"}]
    assert cluster["AutoTerminate"] is False
    assert cluster["Ec2InstanceAttributes"]["Ec2SubnetId"] == "subnet-1"
    assert cluster["Ec2InstanceAttributes"]["RequestedEc2SubnetIds"] == ["subnet-1", "subnet-2"]
    timeline = cluster["Status"]["Timeline"]
    assert timeline["CreationDateTime"] <= timeline["ReadyDateTime"]
    assert "EndDateTime" not in timeline
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    ended = cluster_in(emr, cluster_id, "TERMINATED")["Status"]
    assert ended["StateChangeReason"] == {"Code": "USER_REQUEST", "Message": "Terminated by user request"}
    assert ended["Timeline"]["EndDateTime"] >= ended["Timeline"]["ReadyDateTime"]


def test_fleets_have_the_instances_they_ask_for(emr: BaseClient) -> None:
    weighted = fleet("TASK", "m6g.2xlarge", 5)
    weighted["InstanceTypeConfigs"][0]["WeightedCapacity"] = 2
    wanted = fleets()
    wanted["InstanceFleets"].append(weighted)
    cluster_id = emr.run_job_flow(**job_flow(Instances=wanted))["JobFlowId"]
    cluster_in(emr, cluster_id, "WAITING")
    listed = emr.list_instance_fleets(ClusterId=cluster_id)["InstanceFleets"]
    provisioned = {each["InstanceFleetType"]: each["ProvisionedSpotCapacity"] for each in listed}
    assert provisioned == {"MASTER": 1, "CORE": 2, "TASK": 6}
    found = emr.list_instances(ClusterId=cluster_id, InstanceFleetType="TASK")["Instances"]
    assert [each["InstanceType"] for each in found] == ["m6g.2xlarge"] * 3
    assert {each["Market"] for each in found} == {"SPOT"}
    assert {each["Status"]["State"] for each in found} == {"RUNNING"}
    assert len(emr.list_instances(ClusterId=cluster_id)["Instances"]) == 6


def test_groups_have_the_instances_they_ask_for(emr: BaseClient) -> None:
    cluster_id = emr.run_job_flow(**job_flow(Instances=groups()))["JobFlowId"]
    cluster_in(emr, cluster_id, "WAITING")
    listed = emr.list_instance_groups(ClusterId=cluster_id)["InstanceGroups"]
    assert {each["InstanceGroupType"]: each["RunningInstanceCount"] for each in listed} == {
        "MASTER": 1,
        "CORE": 2,
    }
    core = emr.list_instances(ClusterId=cluster_id, InstanceGroupTypes=["CORE"])["Instances"]
    assert [each["InstanceType"] for each in core] == ["m6g.xlarge", "m6g.xlarge"]


def test_clusters_of_another_region_are_not_seen(aws: LocalAws, emr: BaseClient) -> None:
    cluster_id = emr.run_job_flow(**job_flow())["JobFlowId"]
    paris = client(aws, "emr", "eu-west-3")
    with pytest.raises(ClientError, match="is not valid"):
        paris.describe_cluster(ClusterId=cluster_id)
    assert paris.list_clusters()["Clusters"] == []


def test_lists_come_in_pages_newest_first_and_are_filtered(emr: BaseClient) -> None:
    ids = [emr.run_job_flow(**job_flow(Name=f"page {n}"))["JobFlowId"] for n in range(53)]
    first = emr.list_clusters()
    assert len(first["Clusters"]) == 50
    assert first["Clusters"][0]["Id"] == ids[-1]
    pages = emr.get_paginator("list_clusters").paginate()
    listed = [each["Id"] for page in pages for each in page["Clusters"]]
    assert len(set(listed)) == len(listed)
    assert set(ids) <= set(listed)
    created = emr.describe_cluster(ClusterId=ids[0])["Cluster"]["Status"]["Timeline"]["CreationDateTime"]
    later = emr.get_paginator("list_clusters").paginate(CreatedAfter=created + timedelta(hours=1))
    assert not [each for page in later for each in page["Clusters"]]
    assert emr.list_clusters(ClusterStates=["TERMINATED_WITH_ERRORS"])["Clusters"] == []
    for start in range(0, 53, 10):
        emr.terminate_job_flows(JobFlowIds=ids[start : start + 10])


def test_steps_are_listed_newest_first_by_id_and_by_state(emr: BaseClient) -> None:
    cluster_id = emr.run_job_flow(**job_flow(Steps=[step("sleep", "100")]))["JobFlowId"]
    added = emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[step("true")] * 60)["StepIds"]
    listed = [
        each["Id"]
        for page in emr.get_paginator("list_steps").paginate(ClusterId=cluster_id)
        for each in page["Steps"]
    ]
    assert listed[:60] == added[::-1]
    chosen = emr.list_steps(ClusterId=cluster_id, StepIds=added[:2])["Steps"]
    assert [each["Id"] for each in chosen] == added[:2]
    eventually(
        lambda: emr.list_steps(ClusterId=cluster_id, StepStates=["RUNNING"])["Steps"], "the first step runs"
    )
    assert len(emr.list_steps(ClusterId=cluster_id, StepStates=["PENDING"])["Steps"]) == 50
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    cluster_in(emr, cluster_id, "TERMINATED")
    states = {
        e["Status"]["State"] for e in emr.list_steps(ClusterId=cluster_id, StepIds=[listed[-1]])["Steps"]
    }
    assert states == {"INTERRUPTED"}


def test_tags_and_policies_can_be_put_read_and_removed(emr: BaseClient) -> None:
    cluster_id = emr.run_job_flow(**job_flow())["JobFlowId"]
    emr.add_tags(ResourceId=cluster_id, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    emr.remove_tags(ResourceId=cluster_id, TagKeys=["a", "unknown"])
    assert emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Tags"] == [{"Key": "b", "Value": "2"}]
    emr.put_auto_termination_policy(ClusterId=cluster_id, AutoTerminationPolicy={"IdleTimeout": 604_800})
    assert (
        emr.get_auto_termination_policy(ClusterId=cluster_id)["AutoTerminationPolicy"]["IdleTimeout"]
        == 604_800
    )
    emr.remove_auto_termination_policy(ClusterId=cluster_id)
    assert "AutoTerminationPolicy" not in emr.get_auto_termination_policy(ClusterId=cluster_id)
    policy: Any = {
        "ComputeLimits": {
            "UnitType": "InstanceFleetUnits",
            "MinimumCapacityUnits": 1,
            "MaximumCapacityUnits": 4,
        }
    }
    emr.put_managed_scaling_policy(ClusterId=cluster_id, ManagedScalingPolicy=policy)
    assert emr.get_managed_scaling_policy(ClusterId=cluster_id)["ManagedScalingPolicy"] == policy
    emr.remove_managed_scaling_policy(ClusterId=cluster_id)
    assert "ManagedScalingPolicy" not in emr.get_managed_scaling_policy(ClusterId=cluster_id)
    assert emr.modify_cluster(ClusterId=cluster_id, StepConcurrencyLevel=3)["StepConcurrencyLevel"] == 3


def test_an_idle_cluster_ends_by_itself(emr: BaseClient) -> None:
    cluster_id = emr.run_job_flow(**job_flow(AutoTerminationPolicy={"IdleTimeout": 60}))["JobFlowId"]
    assert "idle" in cluster_in(emr, cluster_id, "TERMINATED")["Status"]["StateChangeReason"]["Message"]


def test_keeping_a_cluster_alive_can_be_given_up(emr: BaseClient) -> None:
    cluster_id = emr.run_job_flow(**job_flow())["JobFlowId"]
    cluster_in(emr, cluster_id, "WAITING")
    emr.set_keep_job_flow_alive_when_no_steps(JobFlowIds=[cluster_id], KeepJobFlowAliveWhenNoSteps=False)
    ended = cluster_in(emr, cluster_id, "TERMINATED")
    assert ended["Status"]["StateChangeReason"]["Code"] == "ALL_STEPS_COMPLETED"


def test_security_configurations_belong_to_their_region(aws: LocalAws, emr: BaseClient) -> None:
    body = json.dumps({"EncryptionConfiguration": {"EnableInTransitEncryption": False}})
    emr.create_security_configuration(Name="rest", SecurityConfiguration=body)
    assert emr.describe_security_configuration(Name="rest")["SecurityConfiguration"] == body
    assert [e["Name"] for e in emr.list_security_configurations()["SecurityConfigurations"]] == ["rest"]
    assert client(aws, "emr", "eu-west-3").list_security_configurations()["SecurityConfigurations"] == []
    with pytest.raises(ClientError, match="already exists"):
        emr.create_security_configuration(Name="rest", SecurityConfiguration=body)
    cluster_id = emr.run_job_flow(**job_flow(SecurityConfiguration="rest"))["JobFlowId"]
    assert emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["SecurityConfiguration"] == "rest"
    emr.delete_security_configuration(Name="rest")
    with pytest.raises(ClientError, match="does not exist"):
        emr.describe_security_configuration(Name="rest")


def test_the_types_of_a_release_are_those_that_emr_has_listed(emr: BaseClient) -> None:
    page = emr.list_supported_instance_types(ReleaseLabel="emr-7.13.0")
    listed = page["SupportedInstanceTypes"]
    while "Marker" in page:
        page = emr.list_supported_instance_types(ReleaseLabel="emr-7.13.0", Marker=page["Marker"])
        listed += page["SupportedInstanceTypes"]
    names = {each["Type"]: each for each in listed}
    assert len(names) == len(listed) > 700
    assert names["m6g.xlarge"]["Architecture"] == "AARCH64"
    assert not [name for name in names if name.startswith(("m6g.", "r7g.")) and name.endswith(".large")]
    with pytest.raises(ClientError, match="release label is invalid: emr-9"):
        emr.list_supported_instance_types(ReleaseLabel="emr-9")


def test_releases_are_listed_newest_first_with_their_spark(emr: BaseClient) -> None:
    labels = emr.list_release_labels(Filters={"Prefix": "emr-7"})["ReleaseLabels"]
    assert labels[0] == "emr-7.14.0"
    assert emr.list_release_labels(Filters={"Application": "Spark@3.4.0"})["ReleaseLabels"] == ["emr-6.12.0"]
    described = emr.describe_release_label(ReleaseLabel="emr-6.15.0")
    assert {"Name": "Spark", "Version": "3.4.1"} in described["Applications"]
    of_spark = emr.list_release_labels(Filters={"Application": "Spark@4.1.1"})["ReleaseLabels"]
    assert of_spark == ["emr-spark-8.1.0"]
    described = emr.describe_release_label(ReleaseLabel=of_spark[0])
    assert {"Name": "Spark", "Version": "4.1.1"} in described["Applications"]
    assert "Hadoop" not in {application["Name"] for application in described["Applications"]}


def test_the_line_of_spark_has_no_jupyterhub(emr: BaseClient) -> None:
    with pytest.raises(ClientError, match=r"'JupyterHub' is not supported by release emr-spark"):
        emr.run_job_flow(**job_flow(ReleaseLabel="emr-spark-8.1.0", Applications=[{"Name": "JupyterHub"}]))


def test_applications_are_named_as_emr_spells_them_with_the_versions_of_the_release(emr: BaseClient) -> None:
    wanted = [{"Name": "SPARK"}, {"Name": "jupyterhub"}, {"Name": "hadoop"}]
    flow = job_flow(ReleaseLabel="emr-6.7.0", Applications=wanted)
    cluster_id = emr.run_job_flow(**flow)["JobFlowId"]
    assert emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Applications"] == [
        {"Name": "Spark", "Version": "3.2.1"},
        {"Name": "JupyterHub", "Version": "1.4.1"},
        {"Name": "Hadoop", "Version": "3.2.1"},
    ]
    with pytest.raises(ClientError, match=r"'Ganglia' is not supported by release emr-7\.13\.0"):
        emr.run_job_flow(**job_flow(Applications=[{"Name": "Ganglia"}]))


def post(url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/elasticmapreduce/aws4_request, Signature=0"


@pytest.mark.parametrize(
    ("operation", "authorization", "body", "error"),
    [
        ("ListClusters", "", b"{}", "MissingAuthenticationTokenException"),
        ("ListCluster", SIGNED, b"{}", "UnknownOperationException"),
        ("ListClusters", SIGNED, b"{", "SerializationException"),
        ("ListClusters", SIGNED, b"[]", "SerializationException"),
        ("ListClusters", SIGNED, b'{"Unknown": 1}', "ValidationException"),
        ("StartNotebookExecution", SIGNED, b"{}", "ValidationException"),
    ],
)
def test_a_request_no_client_would_send_gets_an_error_of_the_protocol(
    aws: LocalAws, operation: str, authorization: str, body: bytes, error: str
) -> None:
    headers = {"X-Amz-Target": f"ElasticMapReduce.{operation}", "Content-Type": "application/x-amz-json-1.1"}
    status, answer = post(aws.emr_url, headers | {"Authorization": authorization}, body)
    assert (status, answer["__type"]) == (400, error)


def test_a_tls_only_bucket_policy_lets_loopback_clients_in(s3: BaseClient, bucket: str) -> None:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"


def test_one_process_serves_once(aws: LocalAws, tmp_path: Any) -> None:
    again = LocalAws(Settings(state_dir=tmp_path, spark_python=aws.settings.spark_python))
    with pytest.raises(SetUpError, match="serves AWS already"), again:
        pass


def test_the_environment_is_enough_for_a_client(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    assert boto3.session.Session().client("emr").list_clusters()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert aws.environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
