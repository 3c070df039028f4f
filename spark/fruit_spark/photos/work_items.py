"""One image of the work list, and what reading it gave."""

from dataclasses import dataclass
from typing import NamedTuple


class WorkItem(NamedTuple):
    """A row of the work list; columns as in :mod:`fruit_contract.work_list`."""

    key: str
    uri: str
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class ReadImage:
    """The bytes of an image, or the reason why there are none."""

    item: WorkItem
    data: bytes | memoryview | None
    reason: str | None = None
