"""The folders of a bucket with all that lies below each of them, as deep as a page has room for."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

DEPTH: Final = 3
"""Levels of folders below the first one."""
MOST_FOLDERS: Final = 12
"""A folder with more folders than that tells only how many they are: labels, and the parts of a table."""


@dataclass(frozen=True)
class Folder:
    """A prefix that ends in a slash, or the prefix that was asked for."""

    prefix: str
    objects: int
    size: int
    """Bytes."""
    folders: int
    """How many folders it has."""


@dataclass
class _Below:
    objects: int = 0
    size: int = 0
    names: set[str] = field(default_factory=set)


def tree(objects: Iterable[tuple[str, int]], under: str = "") -> list[Folder]:
    """The folders of the objects below ``under``, each before its own; keys with their bytes come in."""
    below: dict[str, _Below] = defaultdict(_Below)
    for key, size in objects:
        prefix = under
        for name in (*key.removeprefix(under).split("/")[:-1][: DEPTH + 1], None):
            found = below[prefix]
            found.objects += 1
            found.size += size
            if name is None:
                break
            found.names.add(name)
            prefix = f"{prefix}{name}/"
    return list(_shown(below, under, DEPTH)) if below else []


def _shown(below: dict[str, _Below], prefix: str, deeper: int) -> Iterator[Folder]:
    found = below[prefix]
    yield Folder(prefix, found.objects, found.size, len(found.names))
    if deeper and len(found.names) <= MOST_FOLDERS:
        for name in sorted(found.names):
            yield from _shown(below, f"{prefix}{name}/", deeper - 1)


def as_text(bucket: str, folders: Iterable[Folder]) -> str:
    """A line a folder: objects, bytes, prefix, and how many folders there are in it."""
    lines = [f"{'objects':>10}  {'bytes':>15}  s3://{bucket}"]
    for each in folders:
        inside = f"  ({each.folders:,} folder{'s' * (each.folders > 1)})" if each.folders else ""
        lines.append(f"{each.objects:>10,}  {each.size:>15,}  {each.prefix or '/'}{inside}")
    return "\n".join(lines) + "\n"
