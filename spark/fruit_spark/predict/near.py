"""The photos of a result whose components point most nearly where a photo's do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_spark.classifier.layers import Float64

if TYPE_CHECKING:
    import pyarrow as pa

MOST: Final = 10


@dataclass(frozen=True)
class Near:
    """A photo of the result."""

    path: str
    label: str
    cosine: float
    """Of its components and the photo's: 1 for the same direction, -1 for the opposite one."""


def nearest(batches: "Iterable[pa.RecordBatch]", components: Float64, most: int = MOST) -> list[Near]:
    """The nearest rows (path, label, features) to ``components`` [k], the nearest first.

    A batch is held at a time. ``ValueError`` for rows of another length.
    """
    from fruit_spark.features.feature_files import as_block

    found = list[Near]()
    length = np.linalg.norm(components)
    for batch in batches:
        if not batch.num_rows:
            continue
        block = as_block(batch.column("features")).astype(np.float64)
        if block.shape[1:] != components.shape:
            raise ValueError(f"its rows have {block.shape[1]} components, and its PCA has {len(components)}")
        cosines = block @ components / np.maximum(np.linalg.norm(block, axis=1) * length, 1e-12)
        few = batch.take(np.argsort(-cosines, kind="stable")[:most])
        rows = zip(few.column("path").to_pylist(), few.column("label").to_pylist(), strict=True)
        best = np.sort(cosines)[::-1]
        found += [Near(path, label, float(at)) for (path, label), at in zip(rows, best, strict=False)]
        found = sorted(found, key=lambda near: -near.cosine)[:most]
    return found
