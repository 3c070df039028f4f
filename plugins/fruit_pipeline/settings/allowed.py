"""What a parameter or a setting may be, in words for people, from its JSON schema."""

import re
from typing import Any


def allowed(schema: dict[str, Any]) -> str:
    """The allowed values of a field, in Markdown."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    limits = [number_range(schema), _length(schema), _pattern(schema), _kind(schema)]
    return ", ".join(filter(None, limits)) or "any text"


def number_range(schema: dict[str, Any]) -> str:
    """The range of a number, such as ``from 1 to 1,280``; empty for what is none."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above = schema.get("exclusiveMinimum")
    lower = f"above {above:g}" if above is not None else f"from {low:g}" if low is not None else ""
    whole = f"{lower} to {high:,g}" if high is not None else lower
    return f"{whole}, a multiple of {schema['multipleOf']}" if "multipleOf" in schema else whole


def _length(schema: dict[str, Any]) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    return f"{low} to {high} characters" if high is not None else ""


def _pattern(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern", "")
    literal = re.fullmatch(r"\^(\w+)\$", pattern)
    escaped = (literal[1] if literal else pattern).replace("|", r"\|")
    return f"`{escaped}`" if pattern else ""


def _kind(schema: dict[str, Any]) -> str:
    """What limits alone do not say."""
    if schema.get("type") == "boolean":
        return "`true`, `false`"
    if "null" in schema.get("type", ()):
        return "or empty"
    return {"date": "a date", "path": "a path"}.get(schema.get("format", ""), "")
