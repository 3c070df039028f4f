"""The manifest of a result: which row of which feature file belongs to which photo.

Sorted by key, in the order of the keys' UTF-8 bytes, which is the order in which S3 lists. The next
run merges it with its own listing, and featurizes only what is new.

A key stands at most once as ``live`` or ``rejected``. Besides, it may stand as ``dead``, once for each
feature file that still holds a row of it which counts no more: of a deleted photo, or of an older
version of a changed one.
"""

from typing import Final

MANIFEST_COLUMNS: Final[tuple[tuple[str, str], ...]] = (
    ("key", "string"),
    ("etag", "string"),
    ("size", "int64"),
    ("state", "string"),
    ("reason", "string"),
    ("source", "string"),
)
"""Column names and Arrow type names, in order.

``key``, ``etag``, ``size``  of the photo, as in :mod:`fruit_contract.work_list`.
``state``   ``live``, ``rejected`` or ``dead``.
``reason``  why a photo was rejected; null for the others.
``source``  the folder below ``Results/features/`` whose files hold the row; ``""`` for a rejected photo,
which needs none.
"""

LIVE: Final = "live"
REJECTED: Final = "rejected"
DEAD: Final = "dead"

GONE: Final = "gone"
CHANGED: Final = "changed since the plan"
_PASSING: Final = (f"{GONE}: ", f"{CHANGED}: ")


def may_pass(reason: str) -> bool:
    """Whether a photo was rejected for what happened to it during the run, and not for what it is.

    >>> may_pass("gone: the object was there when the work was planned"), may_pass("corrupt: cut off")
    (True, False)
    """
    return reason.startswith(_PASSING)
