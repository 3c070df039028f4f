"""Bucket policies with ``aws:SecureTransport`` on a server that speaks plain HTTP on loopback.

moto (5.2) evaluates no ``Bool`` condition, so the usual TLS-only policy would deny every request.
Here loopback counts as secure transport: a statement that asks for insecure transport does not
apply, as it would not to a client that uses TLS.
"""

from typing import Any

from moto.iam.access_control import IAMPolicyStatement, PermissionResult

_evaluate = IAMPolicyStatement.is_action_permitted


def _is_for_insecure_transport(statement: dict[str, Any]) -> bool:
    asked = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return str(asked).lower() == "false"


def _permitted(self: IAMPolicyStatement, *args: Any, **kwargs: Any) -> PermissionResult:
    if _is_for_insecure_transport(self._statement):
        return PermissionResult.NEUTRAL
    return _evaluate(self, *args, **kwargs)


def install() -> None:
    """Teach moto the condition, in this process."""
    IAMPolicyStatement.is_action_permitted = _permitted  # type: ignore[method-assign]
