"""What was photographed together: such photos must not be learnt from and judged by at once."""

import re
from collections.abc import Callable
from typing import Final

from fruit_spark.step_errors import StepError

FILM: Final = re.compile(r"(?:^|/)(?P<session>(?:r\d*_)?)\d+_\d+\.jpe?g$", re.IGNORECASE)
"""Of Fruits-360: a film is one turn of a fruit before the camera, and its name begins the file's.
``r_32_100.jpg`` is of another film than ``32_100.jpg`` (https://github.com/fruits-360)."""
_SIDES: Final = {"training": "train", "train": "train", "test": "test"}
SessionOf = Callable[[str, "str | None"], str]
"""The session of a photo, by its key and by when and with what it was taken, where that is known."""


def sessions_by(pattern: str | None) -> SessionOf:
    """By a pattern of the key; without one, or where it is not found, by what is known.

    The pattern's group ``session``, else its first group, else all that it matches, names a session of the
    photo's folder. ``StepError`` for a pattern that is no regular expression.
    """
    try:
        asked = re.compile(pattern) if pattern else None
    except re.error as problem:
        raise StepError(
            f"--session-pattern {pattern!r} is no regular expression ({problem}): correct it or leave it out."
        ) from problem

    def session_of(key: str, taken: str | None) -> str:
        folder = key.rpartition("/")[0]
        if found := (asked or FILM).search(key):
            return f"{folder}/{_named(found)}"
        if taken:
            return taken
        # The folder above the label's: what was uploaded in one go.
        return folder.rpartition("/")[0] or "/"

    return session_of


def side_of(key: str) -> str | None:
    """``"train"`` or ``"test"`` by the nearest folder of such a name above a photo; None without one.

    >>> side_of("fruits/Training/Kiwi/1_100.jpg"), side_of("fruits/Kiwi/1_100.jpg")
    ('train', None)
    """
    return next((_SIDES[name.lower()] for name in reversed(key.split("/")[:-1]) if is_side(name)), None)


def is_side(folder: str) -> bool:
    """Whether a folder's name is one of those that divide photos into training and test."""
    return folder.lower() in _SIDES


def _named(found: re.Match[str]) -> str:
    if "session" in found.re.groupindex:
        return found["session"] or ""
    return (found[1] if found.re.groups else found[0]) or ""
