"""Remove account ids and keys from what a run leaves behind."""

import re
from typing import Any, Final, TypeVar

_Document = TypeVar("_Document")
_BLOT: Final = "***"

_PATTERNS: Final = (
    # arn:partition:service:region:account:resource, as it is or URL-encoded
    re.compile(r"(?P<kept>\barn(?::|%3A)aws[\w-]*(?::|%3A)[\w-]*(?::|%3A)[\w-]*(?::|%3A))\d{12}(?!\d)", re.I),
    # the address of a queue, in which the account is the folder
    re.compile(r"(?P<kept>\bsqs[\w.-]*(?::\d+)?/|\bqueue\.[\w.-]*/)\d{12}(?!\d)"),
    # access keys and the ids of identities: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    re.compile(r"(?P<kept>)\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}\b"),
    re.compile(r"(?P<kept>(?i:secret)[\w.-]*[\"'\s:=]{1,6})[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])"),
    re.compile(r"(?P<kept>(?i:session|security)[_-]?(?i:token)[\"'\s:=]{1,6})[A-Za-z0-9/+=%_-]{40,}"),
    re.compile(r"(?P<kept>X-Amz-Signature=)[0-9a-f]{64}"),
)


def redacted_text(text: str) -> str:
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<kept>{_BLOT}", text)
    return text


def redacted(document: _Document) -> _Document:
    """The same document with every string redacted, names as well as values."""
    copy: Any = document
    if isinstance(document, str):
        copy = redacted_text(document)
    elif isinstance(document, dict):
        copy = {redacted(name): redacted(value) for name, value in document.items()}
    elif isinstance(document, list):
        copy = [redacted(value) for value in document]
    redacted_copy: _Document = copy
    return redacted_copy
