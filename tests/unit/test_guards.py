"""What a run refuses before it costs money, each with a sentence that says what to change."""

from typing import Any

import boto3
import pytest
from moto import mock_aws

from fruit_pipeline import guards
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.guards import GuardError
from fruit_pipeline.parameters import RunParameters
from local_run import account
from tests.unit.conftest import BUCKET, REGION


def test_a_bucket_in_the_runs_region_is_accepted(s3: Any) -> None:
    guards.check_residency(s3, BUCKET, REGION)


def test_a_bucket_outside_the_eu_is_refused(s3: Any) -> None:
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="elsewhere")
    with pytest.raises(GuardError, match="'elsewhere' lies in us-east-1, outside the EU"):
        guards.check_residency(s3, "elsewhere", REGION)


def test_a_bucket_in_another_eu_region_is_refused(s3: Any) -> None:
    account.create_bucket(boto3.client("s3", region_name="eu-west-3"), "paris", "eu-west-3")
    with pytest.raises(
        GuardError, match="lies in eu-west-3 but the run asks for eu-west-1: set region=eu-west-3"
    ):
        guards.check_residency(s3, "paris", REGION)


def test_a_region_outside_the_eu_is_refused(s3: Any) -> None:
    with pytest.raises(GuardError, match="Region 'us-east-1' is not in the EU"):
        guards.check_residency(s3, BUCKET, "us-east-1")


def test_a_missing_bucket_is_refused(s3: Any) -> None:
    with pytest.raises(GuardError, match="Bucket 'nowhere' cannot be used"):
        guards.check_residency(s3, "nowhere", REGION)


def test_missing_roles_are_named(deployment: Deployment) -> None:
    with mock_aws():
        iam = boto3.client("iam", region_name=REGION)
        with pytest.raises(
            GuardError, match=r"service role 'EMR_DefaultRole_V2' does not exist.*FRUITS_SERVICE_ROLE"
        ):
            guards.check_roles(iam, deployment)
        account.create_roles(iam, deployment)
        guards.check_roles(iam, deployment)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (0, "There are no images under s3://b-b/Test/"),
        (256, "There are 256 images .* lower components to at most 255"),
    ],
)
def test_too_few_images_are_refused(found: int, sentence: str) -> None:
    with pytest.raises(GuardError, match=sentence):
        guards.check_enough_images(found, RunParameters(bucket="b-b"))


def test_one_image_more_than_components_is_enough() -> None:
    guards.check_enough_images(257, RunParameters(bucket="b-b"))
