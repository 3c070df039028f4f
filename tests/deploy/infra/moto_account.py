"""Local AWS as an account to deploy into, and what moto (5.2) does not do of it, mended or made up for."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import boto3
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet, Stack
from moto.ec2.models import ec2_backends
from moto.ec2.models.route_tables import RouteTable
from moto.ec2.models.vpcs import VPCEndPoint

from local_aws.server import LocalAws, Settings
from local_run.local_account import create_bucket
from tests.conftest import REPOSITORY

REGION: Final = "eu-west-1"
BUCKET: Final = "fruits-account"

NOT_IN_MOTO: Final = {
    "AWS::Budgets::Budget",
    "AWS::EC2::SecurityGroupEgress",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
}
"""Types of the template that moto's CloudFormation overlooks with a warning: nothing is made of them."""

IGNORED_BY_MOTO: Final = {
    "AWS::S3::Bucket": (
        "LifecycleConfiguration",
        "NotificationConfiguration",
        "OwnershipControls",
        "PublicAccessBlockConfiguration",
        "VersioningConfiguration",
    )
}
"""Properties of types it does make, which it leaves out."""

_apply, _update = ChangeSet.apply, parsing.parse_and_update_resource


def _apply_with_outputs(self: ChangeSet) -> None:
    """moto makes the resources of a change set, but not the stack's new outputs and parameters."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tried to parse")
        _apply(self)
    self.stack.template, self.stack.template_dict = self.template, self.template_dict
    self.stack.parameters = self.parameters
    self.stack.output_map = self.stack._create_output_map()


def _update_or_keep(
    logical_id: str, resource_json: Any, resources_map: Any, *args: Any, **kwargs: Any
) -> Any:
    """moto forgets a resource whose type it cannot update."""
    return _update(logical_id, resource_json, resources_map, *args, **kwargs) or resources_map[logical_id]


def _delete_route_table(self: RouteTable, account_id: str, region: str) -> None:
    backend = ec2_backends[account_id][region]
    if any(self.id in (each.route_table_ids or []) for each in backend.vpc_end_points.values()):
        raise RuntimeError("an endpoint has a route in it: moto comes back to it")
    backend.delete_route_table(self.id)


def _delete_endpoint(self: VPCEndPoint, account_id: str, region: str) -> None:
    backend = ec2_backends[account_id][region]
    backend.delete_vpc_endpoints([self.id])
    del backend.vpc_end_points[self.id]


# moto leaves these two behind when it deletes a stack.
RouteTable.delete, VPCEndPoint.delete = _delete_route_table, _delete_endpoint


@contextmanager
def local_account(state: Path) -> Iterator[LocalAws]:
    """An empty account. Its time passes 3,000 times as fast."""
    settings = Settings(
        state_dir=state,
        spark_python=REPOSITORY / ".venv/spark/bin/python",
        jars_dir=REPOSITORY / ".cache/jars",
        time_factor=3000.0,
    )
    listed = Stack.stack_resources
    ChangeSet.apply, parsing.parse_and_update_resource = _apply_with_outputs, _update_or_keep
    # moto lists what it cannot make, and what a condition leaves out, as resources without a name.
    Stack.stack_resources = property(lambda self: [each for each in self.resource_map.values() if each])
    try:
        with LocalAws(settings) as aws:
            yield aws
    finally:
        ChangeSet.apply, parsing.parse_and_update_resource = _apply, _update
        Stack.stack_resources = listed


def client(aws: LocalAws, service: str, **credentials: str) -> Any:
    environment = aws.environment
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=environment["AWS_ENDPOINT_URL_EMR" if service == "emr" else "AWS_ENDPOINT_URL"],
        **credentials
        or {
            "aws_access_key_id": environment["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": environment["AWS_SECRET_ACCESS_KEY"],
        },
    )


def finish_bucket(s3: Any, bucket: str) -> None:
    """The settings of the bucket that moto's CloudFormation leaves out."""
    create_bucket(s3, bucket, REGION)
