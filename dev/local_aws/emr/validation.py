"""Input against botocore's own model of EMR: missing, unknown, of the wrong type, out of bounds.

The messages are those of AWS's services ("1 validation error detected: Value null at ...").
"""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ListShape, MapShape, OperationNotFoundError, ServiceModel, Shape, StructureShape

from local_aws.emr.api_errors import UnknownOperationError, ValidationError

_MOST_ERRORS = 10
# Two of the model's patterns describe XML's characters through surrogate pairs, which Python's re
# cannot compile; this is what they mean.
_XML_TEXT = re.compile(r"[\u0009\u000a\u000d\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")

_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "double": (int, float),
    "float": (int, float),
    "boolean": (bool,),
    "timestamp": (int, float),
    "structure": (dict,),
    "map": (dict,),
    "list": (list,),
}
_TYPE_NAMES = {
    "string": "String",
    "integer": "Integer",
    "long": "Long",
    "double": "Double",
    "float": "Float",
    "boolean": "Boolean",
    "timestamp": "Timestamp",
    "structure": "Structure",
    "map": "Map",
    "list": "List",
}


@cache
def emr_model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("emr")


def validate(operation: str, parameters: dict[str, Any]) -> None:
    """Raise :class:`ValidationError` naming every fault (ten at most); do nothing if there is none."""
    try:
        shape = emr_model().operation_model(operation).input_shape
    except OperationNotFoundError:
        raise UnknownOperationError(f"ElasticMapReduce has no operation {operation!r}.") from None
    faults = list(_faults(shape, parameters, "")) if shape is not None else []
    if faults:
        count = f"{len(faults)} validation error{'s' if len(faults) > 1 else ''} detected: "
        raise ValidationError(count + "; ".join(faults[:_MOST_ERRORS]))


def _faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    kind = shape.type_name
    is_bool_for_number = isinstance(value, bool) and kind != "boolean"
    fits = isinstance(value, _JSON_TYPES[kind]) and not is_bool_for_number
    if not fits:
        yield f"Value {_shown(value)} at '{path}' can not be converted to {_TYPE_NAMES[kind]}"
    elif isinstance(shape, StructureShape):
        yield from _structure_faults(shape, value, path)
    elif isinstance(shape, ListShape):
        yield from _bounds_faults(shape, len(value), value, path)
        for position, item in enumerate(value, start=1):
            yield from _faults(shape.member, item, f"{path}.{position}.member")
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            yield from _faults(shape.value, item, f"{path}.{key}.member")
    else:
        yield from _scalar_faults(shape, value, path)


def _structure_faults(shape: StructureShape, value: dict[str, Any], path: str) -> Iterator[str]:
    for name in shape.required_members:
        if value.get(name) is None:
            where = _joined(path, name)
            yield f"Value null at '{where}' failed to satisfy constraint: Member must not be null"
    for name, item in value.items():
        if name not in shape.members:
            known = ", ".join(sorted(shape.members))
            yield f"Unknown parameter '{name}' at '{path or 'input'}', must be one of: {known}"
        elif item is not None:
            yield from _faults(shape.members[name], item, _joined(path, name))


def _scalar_faults(shape: Shape, value: Any, path: str) -> Iterator[str]:
    constraint = f"Value {_shown(value)} at '{path}' failed to satisfy constraint: Member must satisfy "
    enum = getattr(shape, "enum", None)
    if enum and value not in enum:
        yield f"{constraint}enum value set: [{', '.join(enum)}]"
    if isinstance(value, str):
        yield from _bounds_faults(shape, len(value), value, path)
        pattern = shape.metadata.get("pattern")
        if pattern and not _compiled(pattern).fullmatch(value):
            yield f"{constraint}regular expression pattern: {pattern}"
    elif isinstance(value, int) and not isinstance(value, bool):
        yield from _bounds_faults(shape, value, value, path)


def _bounds_faults(shape: Shape, measure: int, value: Any, path: str) -> Iterator[str]:
    what = "value" if isinstance(value, int) else "length"
    start = f"Value {_shown(value)} at '{path}' failed to satisfy constraint: Member must have {what} "
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and measure < low:
        yield f"{start}greater than or equal to {low}"
    if high is not None and measure > high:
        yield f"{start}less than or equal to {high}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return _XML_TEXT if "uDFFF" in pattern else re.compile(pattern)


def _joined(path: str, name: str) -> str:
    lower = name[0].lower() + name[1:]
    return f"{path}.{lower}" if path else lower


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    text = str(value)
    return f"'{text if len(text) <= 100 else text[:100] + '...'}'"
