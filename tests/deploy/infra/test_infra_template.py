"""The template keeps its promises by form: named statements, no open door, nothing left unencrypted."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fruit_contract.layout import LATEST_KEY, LOGS_PREFIX, NOTEBOOKS_PREFIX, RunLayout, artifact_key
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import ParameterError, RunParameters
from infra.environment import variables
from infra.stack import TEMPLATE
from local_run import local_account
from tests.deploy.infra.template_data import load, made_by_request, security_configuration

RESOURCES = load()["Resources"]
SERVICE_WIDE = {"SeeClusters", "CreateClusters", "ReadPrices", "HoldSessions"}
"""Statements for every resource: actions that know none (see the template for each)."""


def of_type(kind: str) -> dict[str, dict[str, Any]]:
    return {name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == kind}


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every policy document, with the resource it stands in."""

    def find(document: Any) -> Iterator[dict[str, Any]]:
        if isinstance(document, dict):
            yield from document.get("Statement", []) if "Version" in document else []
            for value in document.values():
                yield from find(value)
        elif isinstance(document, list):
            for value in document:
                yield from find(value)

    for name, resource in RESOURCES.items():
        yield from ((name, each) for each in find(resource))


def role_statements() -> Iterator[dict[str, Any]]:
    apart = list(of_type("AWS::IAM::Policy").values())
    for policy in [
        *apart,
        *(each for role in of_type("AWS::IAM::Role").values() for each in role["Policies"]),
    ]:
        yield from policy["PolicyDocument"]["Statement"]


def test_every_statement_has_a_name_of_its_own() -> None:
    found = list(statements())
    assert len(found) > 30
    for name, statement in found:
        assert statement.get("Sid"), f"a statement of {name} has no Sid"
    for role in of_type("AWS::IAM::Role").values():
        for policy in role["Policies"]:
            sids = [each["Sid"] for each in policy["PolicyDocument"]["Statement"]]
            assert len(sids) == len(set(sids))


def test_no_role_has_a_wildcard_action_and_few_reach_every_resource() -> None:
    everywhere = {each["Sid"] for each in role_statements() if each["Resource"] == "*"}
    assert everywhere == SERVICE_WIDE
    actions = [
        action
        for each in role_statements()
        for action in (each["Action"] if isinstance(each["Action"], list) else [each["Action"]])
    ]
    assert [action for action in actions if "*" in action] == []


def test_no_security_group_is_open_to_addresses() -> None:
    for group in of_type("AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group
    rules = of_type("AWS::EC2::SecurityGroupIngress").values()
    assert len(rules) == 4
    assert [rule for rule in rules if not rule.get("SourceSecurityGroupId")] == []


def test_nodes_of_emr_spark_reach_the_endpoint_and_the_buckets_of_emr() -> None:
    nodes, service = {"Ref": "NodeSecurityGroup"}, {"Ref": "ServiceSecurityGroup"}
    https = [each for each in of_type("AWS::EC2::SecurityGroupIngress").values() if each.get("ToPort") == 443]
    assert [(each["GroupId"], each["SourceSecurityGroupId"]) for each in https] == [(service, nodes)]
    reached = json.dumps(RESOURCES["S3Endpoint"])
    assert [number for number in "01" if f"aws157-instance-data-{number}-prod-" in reached] == ["0", "1"]


def test_there_is_no_way_to_the_internet_and_nothing_that_costs_at_rest() -> None:
    kinds = {each["Type"] for each in RESOURCES.values()}
    assert (
        kinds & {"AWS::EC2::InternetGateway", "AWS::EC2::NatGateway", "AWS::EC2::Route", "AWS::KMS::Key"}
        == set()
    )
    endpoints = [each for each in RESOURCES.values() if each["Type"] == "AWS::EC2::VPCEndpoint"]
    assert {each["Properties"]["VpcEndpointType"] for each in endpoints if not made_by_request(each)} == {
        "Gateway"
    }


def test_sessions_are_off_unless_asked_for_and_their_endpoints_cost_project_money() -> None:
    template = load()
    assert template["Parameters"]["SessionManager"]["Default"] == "false"
    assert template["Conditions"]["OpensSessions"] == {"Fn::Equals": [{"Ref": "SessionManager"}, "true"]}
    assert {"Condition": "OpensSessions"} in template["Conditions"]["CreatesSessionEndpoints"]["Fn::And"]
    asked_for = {name for name, each in RESOURCES.items() if made_by_request(each)}
    assert asked_for == {"NodeSessions", "SystemsManagerEndpoint", "SessionMessagesEndpoint"}
    for properties in of_type("AWS::EC2::VPCEndpoint").values():
        if properties["VpcEndpointType"] == "Interface":
            assert {"Key": "project", "Value": "fruit-features"} in properties["Tags"]


def test_what_emrs_service_role_must_reach_bears_its_tag() -> None:
    for kind in ("AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::SecurityGroup"):
        for name, properties in of_type(kind).items():
            tags = {tag["Key"]: tag["Value"] for tag in properties["Tags"]}
            assert tags.get("for-use-with-amazon-emr-managed-policies") == "true", name


def test_the_bucket_is_closed_encrypted_and_versioned() -> None:
    [bucket] = of_type("AWS::S3::Bucket").values()
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


def test_the_topic_is_encrypted_and_takes_messages_of_airflow_alone() -> None:
    [topic], [policy] = of_type("AWS::SNS::Topic").values(), of_type("AWS::SNS::TopicPolicy").values()
    assert topic["KmsMasterKeyId"] == "alias/aws/sns"
    denied = {each["Sid"]: each for each in policy["PolicyDocument"]["Statement"]}
    assert {each["Effect"] for each in denied.values()} == {"Deny"}
    assert denied["AirflowAlone"]["Condition"] == {
        "ArnNotEquals": {"aws:PrincipalArn": {"Fn::GetAtt": ["AirflowRole", "Arn"]}}
    }
    [published] = [each for each in role_statements() if "sns:Publish" in each["Action"]]
    assert published["Resource"] == {"Ref": "Topic"}


def test_lifecycle_rules_take_what_is_temporary_and_nothing_that_a_result_refers_to() -> None:
    [bucket] = of_type("AWS::S3::Bucket").values()
    layout = RunLayout("b", "r")
    kept = (
        layout.pca_output,
        layout.pca_model,
        layout.classifier,
        layout.report,
        layout.claim,
        layout.files,
        layout.features,
        layout.compacted,
        layout.rejected,
        LATEST_KEY,
        artifact_key("0" * 64, "code.zip"),
        f"{NOTEBOOKS_PREFIX}jovyan/mine.ipynb",
    )
    expiring = {
        rule["Prefix"] for rule in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule
    }
    for key in (layout.work_list, f"{LOGS_PREFIX}j-1/x"):
        assert any(key.startswith(prefix) for prefix in expiring), f"{key} is kept for ever"
    for key in kept:
        assert not any(key.startswith(prefix) for prefix in expiring), f"{key} would be deleted"


def test_defaults_are_those_of_the_pipeline() -> None:
    parameters = load()["Parameters"]
    assert parameters["InputPrefix"]["Default"] == RunParameters().input_prefix
    assert parameters["Installation"]["Default"] == Deployment.model_fields["installation"].default
    assert [name for name, each in parameters.items() if "Default" not in each] == ["BucketName"]


@pytest.mark.parametrize(
    "prefix", ["", "Results/", "artifacts/x/", "logs/", "jupyter/", "Test", "Test/", "results/1/"]
)
def test_the_stack_takes_the_prefixes_that_a_run_takes(prefix: str) -> None:
    is_taken = re.search(load()["Parameters"]["InputPrefix"]["AllowedPattern"], prefix) is not None
    try:
        RunParameters.checked({"input_prefix": prefix})
    except ParameterError:
        assert not is_taken
    else:
        assert is_taken


def test_every_output_that_is_a_setting_becomes_a_variable() -> None:
    outputs = {name: f"value-of-{name}" for name in load()["Outputs"]}
    assert variables(outputs).keys() >= {
        "FRUITS_BUCKET",
        "FRUITS_REGION",
        "FRUITS_INSTALLATION",
        "FRUITS_QUEUE_URL",
        "FRUITS_NOTIFY",
        "FRUITS_SERVICE_ROLE",
        "FRUITS_INSTANCE_PROFILE",
        "FRUITS_SUBNET_ID",
        "FRUITS_NODE_SECURITY_GROUP",
        "FRUITS_SERVICE_SECURITY_GROUP",
        "FRUITS_SECURITY_CONFIGURATION",
        "AIRFLOW_CONN_AWS_DEFAULT",
    }
    assert "role_arn=value-of-AirflowRoleArn" in variables(outputs)["AIRFLOW_CONN_AWS_DEFAULT"]


def test_the_template_fits_into_a_request() -> None:
    assert len(TEMPLATE.read_bytes()) <= 51_200, "CloudFormation's limit of TemplateBody"


def test_no_account_id_stands_in_it() -> None:
    assert re.findall(r"\b\d{12}\b", TEMPLATE.read_text()) == []
    assert json.dumps(RESOURCES).count("AWS::AccountId") > 3


def test_runs_on_local_aws_have_the_security_configuration_of_the_template() -> None:
    assert security_configuration() == local_account.SECURITY_CONFIGURATION


def test_nobody_but_the_nodes_and_what_airflow_ships_reaches_notebooks() -> None:
    reaching = {
        each["Sid"] for each in role_statements() if f"/{NOTEBOOKS_PREFIX}" in json.dumps(each["Resource"])
    }
    assert reaching == {"KeepNotebooks", "ShipNotebooks"}


def test_jupyterhub_in_its_container_reaches_the_credentials_of_its_node() -> None:
    """EMR starts it with a published port, so on a bridge; IMDSv2's answer must pass one hop more."""
    metadata = security_configuration()["InstanceMetadataServiceConfiguration"]
    assert metadata == {"MinimumInstanceMetadataServiceVersion": 2, "HttpPutResponseHopLimit": 2}
