"""Objects of S3 deleted by the thousand, whatever characters their keys have."""

import re
from collections.abc import Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

_AT_ONCE: Final = 1000
"""Objects in one DeleteObjects request, its limit."""
_NOT_IN_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters of keys that XML 1.0 cannot carry, not even as references."""


def delete_objects(s3: Any, bucket: str, objects: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Delete objects, each a ``Key`` and perhaps a ``VersionId``; returns the refused ones, with a ``Code``.

    DeleteObjects sends keys as XML. A key that XML cannot carry takes a request of its own.
    """
    batched = [each for each in objects if not _NOT_IN_XML.search(each["Key"])]
    single = [each for each in objects if _NOT_IN_XML.search(each["Key"])]
    refused: list[dict[str, str]] = []
    for start in range(0, len(batched), _AT_ONCE):
        batch = {"Objects": batched[start : start + _AT_ONCE], "Quiet": True}
        refused += s3.delete_objects(Bucket=bucket, Delete=batch).get("Errors", [])
    for each in single:
        try:
            s3.delete_object(Bucket=bucket, **each)
        except ClientError as error:
            refused.append({**each, "Code": error.response["Error"]["Code"]})
    return refused
