"""The roles that AWS keeps for itself, which an account that has never used EMR or Spot lacks."""

from collections.abc import Iterator
from typing import Any, Final

LINKED_SERVICES: Final = {"elasticmapreduce.amazonaws.com": "EMR", "spot.amazonaws.com": "EC2 Spot"}
"""Services that keep a role for themselves in an account. Neither of the stack's roles may create these, and
an account that has never used the service lacks them."""


def has_linked_role(iam: Any, service: str) -> bool:
    """Whether ``service`` has its role; the role's name is the service's own affair, its path is not."""
    return bool(iam.list_roles(PathPrefix=f"/aws-service-role/{service}/")["Roles"])


def create_linked_roles(iam: Any) -> Iterator[str]:
    """Have the services make the roles that they lack; the names of these services."""
    for service, name in LINKED_SERVICES.items():
        if not has_linked_role(iam, service):
            iam.create_service_linked_role(AWSServiceName=service)
            yield name
