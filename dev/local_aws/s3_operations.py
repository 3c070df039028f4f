"""Which operation of S3 an HTTP request is: by botocore's own model of the service, not by a list of ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import parse_qsl

import botocore.session
from botocore.model import OperationModel, ServiceModel

UNKNOWN = "Unknown"
"""A request that is none of the model's operations, such as a form's POST."""


@dataclass(frozen=True)
class _Form:
    """The names that the requests of one operation have."""

    operation: str
    query: frozenset[tuple[str, str | None]]
    """Names with the value they must have, None for any."""
    headers: frozenset[str]


@cache
def s3_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("s3")


def s3_operation(method: str, path: str, query_string: str, headers: Mapping[str, str]) -> str:
    """The operation's name. ``path`` is in path style, decoded; names in ``headers`` are lower case."""
    bucket, _, key = path.lstrip("/").partition("/")
    depth = 2 if key else 1 if bucket else 0
    query = dict(parse_qsl(query_string, keep_blank_values=True))
    fitting = [
        form
        for form in _forms().get((method, depth), ())
        if all(name in query and value in (None, query[name]) for name, value in form.query)
        and form.headers <= headers.keys()
    ]
    # The one that asks for most: UploadPart is a PutObject with two parameters more.
    best = max(fitting, key=lambda form: len(form.query) + len(form.headers), default=None)
    return best.operation if best is not None else UNKNOWN


@cache
def _forms() -> dict[tuple[str, int], list[_Form]]:
    """By method and depth: 0 for the service, 1 for a bucket, 2 for an object."""
    model = s3_model()
    forms: dict[tuple[str, int], list[_Form]] = {}
    for operation in map(model.operation_model, model.operation_names):
        if not operation.deprecated:
            # Not by the address: a client of the same process takes the bucket out of it, in the model.
            members = operation.input_shape.members if operation.input_shape is not None else {}
            depth = sum(each.serialization.get("location") == "uri" for each in members.values())
            forms.setdefault((operation.http["method"], depth), []).append(_form(operation))
    return forms


def _form(operation: OperationModel) -> _Form:
    static = operation.http["requestUri"].partition("?")[2]
    query: set[tuple[str, str | None]] = {
        (name, value or None) for name, value in parse_qsl(static, keep_blank_values=True)
    }
    headers = set()
    shape = operation.input_shape
    for name in shape.required_members if shape is not None else ():
        serialization = shape.members[name].serialization
        if serialization.get("location") == "querystring":
            query.add((serialization["name"], None))
        elif serialization.get("location") == "header":
            headers.add(serialization["name"].lower())
    return _Form(operation.name, frozenset(query), frozenset(headers))
