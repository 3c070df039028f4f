"""Coarse classes: labels whose folders lie in one folder."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fruit_spark.classifier.sessions import is_side


def groups_of(found: Iterable[tuple[str, str]], labels: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """The number of each label's group, [C], from labels with the folder above theirs; None without groups.

    Folders called Training and Test are passed over. A folder that holds other groups, too, is none: the
    labels in it stand alone. Where a label lies in several folders, these are no groups but, say, uploads.
    """
    above: dict[str, set[str]] = {}
    for label, folder in found:
        parts = [part for part in folder.split("/") if not is_side(part)]
        above.setdefault(label, set()).add("/".join(parts))
    if any(len(above[label]) != 1 for label in labels):
        return None
    parent = {label: next(iter(above[label])) for label in labels}
    folders = set(parent.values())
    holders = {one for one in folders if any(other.startswith(f"{one}/") for other in folders)}
    names = [label if parent[label] in holders else f"{parent[label]}/" for label in labels]
    distinct, numbers = np.unique(names, return_inverse=True)
    return numbers.astype(np.int64) if 1 < len(distinct) < len(labels) else None
