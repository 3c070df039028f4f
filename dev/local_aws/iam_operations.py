"""The operations of IAM, by botocore's own model of the service, and which one a request asks for."""

from functools import cache
from urllib.parse import parse_qs

import botocore.session
from botocore.model import ServiceModel


@cache
def iam_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("iam")


def iam_operation(form: bytes) -> str | None:
    """The operation that a form of the query protocol names, if it is one of IAM's."""
    named = parse_qs(form.decode("utf-8", "replace")).get("Action", [""])[0]
    return named if named in iam_model().operation_names else None
