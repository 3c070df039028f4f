"""What the account must have before a cluster is asked for: roles, and encryption where it is required."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from fruit_pipeline.errors import PipelineError
from fruit_pipeline.settings.deployment import Deployment


class RequirementError(PipelineError):
    """A role, a profile or a security configuration is missing."""


def check_roles(iam: Any, deployment: Deployment) -> None:
    """The service role and the instance profile exist."""
    role, profile = deployment.service_role, deployment.instance_profile
    with _named("service role", role, "FRUITS_SERVICE_ROLE"):
        iam.get_role(RoleName=role)
    with _named("instance profile", profile, "FRUITS_INSTANCE_PROFILE"):
        iam.get_instance_profile(InstanceProfileName=profile)


@contextmanager
def _named(kind: str, name: str, variable: str) -> Iterator[None]:
    """Turn IAM's NoSuchEntity into a sentence."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        raise RequirementError(
            f"The EMR {kind} {name!r} does not exist: create it, or set {variable}."
        ) from error


def check_security_configuration(deployment: Deployment) -> None:
    """A security configuration is given where the installation requires one."""
    if deployment.require_security_configuration and not deployment.security_configuration:
        raise RequirementError(
            "FRUITS_REQUIRE_SECURITY_CONFIGURATION is set, but no security configuration is given: set "
            "FRUITS_SECURITY_CONFIGURATION to the name of one."
        )
