"""How many changes of photos wait in the bucket for a run."""

from dataclasses import dataclass
from typing import Any

from fruit_contract.layout import is_image_key


@dataclass(frozen=True)
class Waiting:
    """Photos under the prefix that the current result does not show as they are."""

    new: int
    changed: int
    deleted: int

    @property
    def total(self) -> int:
        return self.new + self.changed + self.deleted


def count(s3: Any, bucket: str, prefix: str) -> Waiting:
    """Without a record of what earlier runs have worked on, every photo is new."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
    return Waiting(new=sum(map(is_image_key, keys)), changed=0, deleted=0)
