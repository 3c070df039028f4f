"""Which photos a classifier is judged by, and does not learn from while it is judged."""

import hashlib
import zlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from fruit_contract.classifier import SplitKind
from fruit_spark.classifier.sessions import SessionOf, side_of

TEST_SHARE: Final = 0.25
"""Of a label's photos, that are held out at least where its sessions allow it."""
_MOST_HELD_OUT: Final = 0.5
"""Of a label's photos: half of two films, and never more than is left to learn from."""
_HASHES: Final = 2**32

Photos = Mapping[tuple[str, str], int]
"""Number of photos by label and session."""


@dataclass(frozen=True)
class Split:
    """A division of all photos, which each task can apply to its own."""

    kind: SplitKind
    session_of: SessionOf
    held_out: frozenset[tuple[str, str]] = frozenset()
    """Labels with their sessions, of a split by session."""

    def is_test(self, key: str, label: str, taken: str | None) -> bool:
        if self.kind == "hash":
            return zlib.crc32(key.encode()) < TEST_SHARE * _HASHES
        if self.kind == "folders":
            return side_of(key) == "test"
        return (label, self.session_of(key, taken)) in self.held_out

    def unit_of(self, key: str, taken: str | None) -> str:
        """What is independent of the rest, by which an interval is reckoned."""
        return key if self.kind == "hash" else self.session_of(key, taken)


def held_out(photos: Photos) -> frozenset[tuple[str, str]]:
    """What to hold out: about a quarter of each label, and always some sessions to learn it from.

    A session goes as a whole, with all labels in it, but for those that have no other one. The order is that
    of a hash, so that the same sessions are chosen while the photos stay the same.
    """
    sessions: dict[str, dict[str, int]] = defaultdict(dict)
    sessions_left, total = Counter[str](), Counter[str]()
    for (label, session), count in photos.items():
        sessions[session][label] = count
        total[label] += count
        sessions_left[label] += 1
    single = {label for label, count in sessions_left.items() if count == 1}
    held = Counter[str]()
    chosen = set[tuple[str, str]]()
    for session in sorted(sessions, key=lambda name: hashlib.sha256(name.encode()).digest()):
        counts = {label: count for label, count in sessions[session].items() if label not in single}
        wanted = any(held[label] < TEST_SHARE * total[label] for label in counts)
        allowed = all(
            sessions_left[label] > 1 and held[label] + count <= _MOST_HELD_OUT * total[label]
            for label, count in counts.items()
        )
        if wanted and allowed:
            chosen.update((label, session) for label in counts)
            held.update(counts)
            sessions_left.subtract(counts.keys())
    return frozenset(chosen)
