"""The frame of all pages: templates, style and script, and the policy that lets a page do no more."""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

_TEMPLATES: Final = Path(__file__).parent / "templates"


def rendered(template: str, **values: Any) -> str:
    """A page as HTML, in which all foreign text is escaped."""
    style, script = _asset("page.css"), _asset("page.js")
    return _environment().get_template(template).render(**values, style=style, script=script)


def content_security_policy() -> str:
    """What a served page may do: its own style and script, photos and data from where it came from."""
    style, script = (_hash(_asset(name)) for name in ("page.css", "page.js"))
    return (
        f"default-src 'none'; img-src 'self'; style-src '{style}'; script-src '{script}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


@cache
def _asset(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": "{:,}".format, "percent": "{:.1%}".format, "eur": "{:.2f}".format}
    return environment
