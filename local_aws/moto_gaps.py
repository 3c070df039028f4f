"""What moto (5.2) does otherwise than S3, mended in this process.

TLS-only bucket policies, newlines in keys, and folders of a versioned bucket whose objects are all
deleted.
"""

from typing import Any

from moto.iam.access_control import IAMPolicyStatement, PermissionResult
from moto.moto_server import werkzeug_app
from moto.moto_server.utilities import RegexConverter
from moto.s3.models import FakeBucket, FakeDeleteMarker, S3Backend

_list = S3Backend.list_objects
_evaluate = IAMPolicyStatement.is_action_permitted


def _is_for_insecure_transport(statement: dict[str, Any]) -> bool:
    asked = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return str(asked).lower() == "false"


def _permitted(self: IAMPolicyStatement, *args: Any, **kwargs: Any) -> PermissionResult:
    """moto evaluates no ``Bool`` condition, so the usual TLS-only policy would deny every request.

    Here loopback counts as secure transport: a statement about insecure transport does not apply,
    as it would not to a client that uses TLS.
    """
    if _is_for_insecure_transport(self._statement):
        return PermissionResult.NEUTRAL
    return _evaluate(self, *args, **kwargs)


class _AnyCharacter(RegexConverter):
    """moto's routes match keys with ``.+``, in which the dot stops at a newline; S3's keys do not."""

    def __init__(self, url_map: Any, *items: Any) -> None:
        super().__init__(url_map, *items)
        self.regex = f"(?s:{items[0]})"


def _list_objects(
    self: S3Backend, bucket: FakeBucket, prefix: str | None, delimiter: str | None, *args: Any, **kwargs: Any
) -> Any:
    """moto lists a common prefix below which a versioned bucket holds nothing but delete markers.

    Hadoop would take it for a folder that is still there, and a repeated Spark write would fail.
    """
    keys, folders, *rest = _list(self, bucket, prefix, delimiter, *args, **kwargs)
    if folders and delimiter and bucket.is_versioned:
        start = len(prefix or "")
        live = (
            name
            for name, key in bucket.keys.items()
            if name.startswith(prefix or "") and not isinstance(key, FakeDeleteMarker)
        )
        there = {
            name[: name.find(delimiter, start) + len(delimiter)] for name in live if delimiter in name[start:]
        }
        folders = [folder for folder in folders if folder in there]
    return keys, folders, *rest


def mend() -> None:
    """Mend moto in this process, before its server is made."""
    IAMPolicyStatement.is_action_permitted = _permitted
    S3Backend.list_objects = _list_objects
    werkzeug_app.RegexConverter = _AnyCharacter
