"""Which photos a classifier is judged by, and does not learn from while it is judged."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Final

from fruit_contract.classifier import SplitKind
from fruit_spark.classifier.sessions import SessionOf, side_of

TEST_SHARE: Final = 0.25
"""Of a label's photos, that are held out at least where its sessions allow it."""
_MOST_HELD_OUT: Final = 0.5
"""Of a label's photos: half of two films, and never more than is left to learn from."""

Photos = Mapping[tuple[str, str], int]
"""Number of photos by label and session."""


def chance(purpose: str, name: str) -> float:
    """A number from 0 to 1 for a name, always the same; of two purposes they are independent."""
    digest = hashlib.blake2b(name.encode(), digest_size=8, person=purpose.encode()).digest()
    return int.from_bytes(digest, "big") / 2**64


class Role(IntEnum):
    """What a photo is there for while a classifier is judged."""

    TRAIN = 0
    TEST = 1
    NEITHER = 2
    """Of a session that others are judged by, though not the photo's own label."""


@dataclass(frozen=True)
class Split:
    """A division of all photos, which each task can apply to its own."""

    kind: SplitKind
    session_of: SessionOf
    held_out: frozenset[tuple[str, str]] = frozenset()
    """Labels with their sessions, of a split by session."""

    def role(self, key: str, label: str, taken: str | None) -> Role:
        if self.kind == "hash":
            return Role(chance("split", key) < TEST_SHARE)
        if self.kind == "folders":
            return Role(side_of(key) == "test")
        session = self.session_of(key, taken)
        if (label, session) in self.held_out:
            return Role.TEST
        return Role.NEITHER if session in self._sessions else Role.TRAIN

    @cached_property
    def _sessions(self) -> frozenset[str]:
        return frozenset(session for _, session in self.held_out)

    def unit_of(self, key: str, taken: str | None) -> str:
        """What is independent of the rest, by which an interval is reckoned."""
        return key if self.kind == "hash" else self.session_of(key, taken)


def held_out(photos: Photos) -> frozenset[tuple[str, str]]:
    """What to judge by: about a quarter of each label, in whole sessions, and always some left to learn from.

    The order is that of a hash: the same sessions are chosen while the photos stay the same. A session goes
    where most of its photos are of labels that still need some. A label that it would take too much of is not
    judged by it; its photos there are not learnt from either.
    """
    sessions: dict[str, dict[str, int]] = defaultdict(dict)
    sessions_left, total, held = Counter[str](), Counter[str](), Counter[str]()
    for (label, session), count in photos.items():
        sessions[session][label] = count
        total[label] += count
        sessions_left[label] += 1
    chosen = set[tuple[str, str]]()
    for session in sorted(sessions, key=lambda name: chance("session", name)):
        fitting = {
            label: count
            for label, count in sessions[session].items()
            if sessions_left[label] > 1 and held[label] + count <= _MOST_HELD_OUT * total[label]
        }
        wanted = sum(count for label, count in fitting.items() if held[label] < TEST_SHARE * total[label])
        if 2 * wanted > sum(sessions[session].values()):
            chosen.update((label, session) for label in fitting)
            held.update(fitting)
            # Those of the others are lost to both sides.
            sessions_left.subtract(sessions[session].keys())
    # A label may have lost the last one to a session that others are judged by.
    return frozenset((label, session) for label, session in chosen if sessions_left[label])
