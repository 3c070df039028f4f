"""What refuses a run before anything costs money. Each check raises ``GuardError`` in one sentence."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError

from fruit_contract.variance import most_components
from fruit_pipeline.deployment import Deployment
from fruit_pipeline.estimate import Estimate, Workload, estimate, fits
from fruit_pipeline.invoice import total_usd
from fruit_pipeline.parameters import RunParameters
from fruit_pipeline.prices import PriceError, Prices


class GuardError(RuntimeError):
    """The run must not start; the message says why and what to change."""


def check_budget(
    parameters: RunParameters, deployment: Deployment, workload: Workload, prices: Prices
) -> Estimate:
    """The estimate of the run, whose fleet is known, when its worst case is within the budget."""
    try:
        found = estimate(parameters, workload, prices)
    except PriceError as error:
        raise GuardError(str(error)) from error
    rate = deployment.usd_per_eur
    worst = total_usd(found.worst) / rate
    if worst > parameters.budget_eur:
        lower = fits(parameters, workload, prices, parameters.budget_eur * rate)
        changes = [f"lower {name} to {value:g}" for name, value in lower.items()]
        sums = "".join(f"\n  {line.usd / rate:8.2f} EUR  {line.service}" for line in found.worst)
        raise GuardError(
            f"The worst case costs {worst:.2f} EUR, more than budget_eur {parameters.budget_eur:g}: "
            f"{', or '.join([*changes, f'raise budget_eur to {math.ceil(worst)}'])}. "
            f"At {rate} USD per EUR it is{sums}"
        )
    return found


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
        raise GuardError(f"The EMR {kind} {name!r} does not exist: create it, or set {variable}.") from error


def check_enough_images(found: int, parameters: RunParameters, deleted: int = 0) -> None:
    """There are photos, and more of them than components. ``deleted``: how many the current result has."""
    where = f"s3://{parameters.bucket}/{parameters.input_prefix}"
    if found == 0 and deleted:
        raise GuardError(
            f"All {deleted} images under {where} were deleted since the current result, which stays as it "
            "is: upload photos there, or correct input_prefix."
        )
    if found == 0:
        raise GuardError(f"There are no images under {where}: upload photos there, or correct input_prefix.")
    if parameters.components > most_components(found):
        raise GuardError(
            f"There are {found} images under {where}, and PCA with components={parameters.components} needs "
            f"more than {parameters.components}: add images, or lower components to at most "
            f"{most_components(found)}."
        )


def check_security_configuration(deployment: Deployment) -> None:
    """A security configuration is given where the installation requires one."""
    if deployment.require_security_configuration and not deployment.security_configuration:
        raise GuardError(
            "FRUITS_REQUIRE_SECURITY_CONFIGURATION is set, but no security configuration is given: set "
            "FRUITS_SECURITY_CONFIGURATION to the name of one."
        )
