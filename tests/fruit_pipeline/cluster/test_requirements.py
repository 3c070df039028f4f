"""A role or a security configuration that is missing is named before a cluster is asked for."""

import boto3
import pytest
from moto import mock_aws

from fruit_pipeline.cluster import requirements
from fruit_pipeline.cluster.requirements import RequirementError
from fruit_pipeline.settings.deployment import Deployment
from local_run import local_account
from tests.fruit_pipeline.conftest import REGION


def test_missing_roles_are_named(deployment: Deployment) -> None:
    with mock_aws():
        iam = boto3.client("iam", region_name=REGION)
        with pytest.raises(
            RequirementError, match=r"service role 'EMR_DefaultRole_V2' does not exist.*FRUITS_SERVICE_ROLE"
        ):
            requirements.check_roles(iam, deployment)
        local_account.create_roles(iam, deployment)
        requirements.check_roles(iam, deployment)


def test_a_security_configuration_is_asked_for_where_one_is_required() -> None:
    requirements.check_security_configuration(Deployment())
    requirements.check_security_configuration(
        Deployment(require_security_configuration=True, security_configuration="fruits")
    )
    with pytest.raises(RequirementError, match="set FRUITS_SECURITY_CONFIGURATION to the name of one"):
        requirements.check_security_configuration(Deployment(require_security_configuration=True))
