"""Lists in pages: a Marker says where the next page begins."""

import base64
import binascii
from collections.abc import Sequence
from typing import TypeVar

from local_aws.emr.api_errors import InvalidRequestError

Item = TypeVar("Item")
_PREFIX = b"from:"


def page(
    items: Sequence[Item], marker: str | None, size: int, name: str = "Marker"
) -> tuple[list[Item], str | None]:
    """One page of ``items`` and the marker of the next one, None after the last."""
    start = _offset(marker, name) if marker else 0
    end = start + size
    following = base64.b64encode(_PREFIX + str(end).encode()).decode() if end < len(items) else None
    return list(items[start:end]), following


def _offset(marker: str, name: str) -> int:
    try:
        raw = base64.b64decode(marker, validate=True)
        if not raw.startswith(_PREFIX):
            raise ValueError
        return int(raw.removeprefix(_PREFIX))
    except (ValueError, binascii.Error):
        raise InvalidRequestError(f"{name} '{marker}' is not valid.") from None
