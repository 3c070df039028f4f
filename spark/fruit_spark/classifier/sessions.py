"""What was photographed together: such photos must not be learnt from and judged by at once."""

import re
from dataclasses import dataclass
from typing import Final

from fruit_spark.step_errors import StepError

FILM: Final = re.compile(r"(?:^|/)(?P<session>(?:r\d*_)?)\d{1,4}_\d{2,3}\.jpe?g$", re.IGNORECASE)
"""Of Fruits-360: a film is one turn of a fruit before the camera, and its name begins the file's.
``r_32_100.jpg`` is of another film than ``32_100.jpg`` (https://github.com/fruits-360)."""
_SIDES: Final = {"training": "train", "train": "train", "test": "test"}


@dataclass(frozen=True)
class SessionOf:
    """The session of a photo: by a pattern of its key; without one, or a match, by what else is known.

    The pattern's group ``session``, else its first group, else all that it matches, names a session of the
    photo's folder.
    """

    pattern: str | None = None

    def __call__(self, key: str, taken: str | None) -> str:
        """By its key, and by when and with what it was taken, where that is known."""
        # Training/ and Test/ may each have a part of the same session.
        folder = "/".join(name for name in key.split("/")[:-1] if not is_side(name))
        if found := (re.compile(self.pattern) if self.pattern else FILM).search(key):
            return f"{folder}/{_named(found)}"
        # At last the folder above the label's: what was uploaded in one go.
        return taken or folder.rpartition("/")[0] or "/"


def sessions_by(pattern: str | None) -> SessionOf:
    """``StepError`` for a pattern that is no regular expression."""
    try:
        re.compile(pattern or "")
    except re.error as problem:
        raise StepError(
            f"--session-pattern {pattern!r} is no regular expression ({problem}): correct it or leave it out."
        ) from problem
    return SessionOf(pattern or None)


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
