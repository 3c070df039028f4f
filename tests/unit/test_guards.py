"""What a run refuses before it costs money, each with a sentence that says what to change."""

import boto3
import pytest
from moto import mock_aws

from fruit_pipeline import guards
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.guards import GuardError
from fruit_pipeline.parameters import RunParameters
from local_run import account
from tests.unit.conftest import REGION


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


def test_a_security_configuration_is_asked_for_where_one_is_required() -> None:
    guards.check_security_configuration(Deployment())
    guards.check_security_configuration(
        Deployment(require_security_configuration=True, security_configuration="fruits")
    )
    with pytest.raises(GuardError, match="set FRUITS_SECURITY_CONFIGURATION to the name of one"):
        guards.check_security_configuration(Deployment(require_security_configuration=True))
