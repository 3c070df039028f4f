"""The photos that look most like one photo: a search among those that a run has indexed.

Every vector is compared. The index has at most 100,000: a search takes no longer for millions of photos.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fruit_contract.layout import RunLayout, label_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MOST: Final = 12
_ROWS: Final = 8192
"""Compared at a time: 8 MB of float32 at 256 components."""


@dataclass(frozen=True)
class NearPhoto:
    """A photo, and how far it is from the one that was asked for."""

    key: str
    distance: float
    """1 - cosine of the components: 0 for the same direction, 1 for nothing in common, at most 2."""

    @property
    def label(self) -> str:
        return label_of(self.key)


@dataclass(frozen=True)
class Index:
    """What a run has indexed: each photo's place by its key, and the vectors, int8 [n, k]."""

    places: dict[str, int]
    keys: list[str]
    vectors: "npt.NDArray[np.int8]"

    def nearest(self, key: str, most: int = MOST) -> list[NearPhoto] | None:
        """The nearest other photos, the nearest first; None for a photo that is not in the index."""
        place = self.places.get(key)
        if place is None:
            return None
        near = self.nearest_to(self.vectors[place].tolist(), most + 1)
        return [each for each in near if each.key != key][:most]

    def nearest_to(self, components: Sequence[float], most: int = MOST) -> list[NearPhoto]:
        """The photos nearest to a vector [k], the nearest first; none for one of another length."""
        import numpy as np

        asked = np.array(components, np.float32)
        if asked.shape != self.vectors.shape[1:]:
            return []
        similar = np.empty(len(self.keys), np.float32)
        for start in range(0, len(self.keys), _ROWS):
            block = self.vectors[start : start + _ROWS].astype(np.float32)
            lengths = np.sqrt(np.einsum("nk,nk->n", block, block))
            similar[start : start + _ROWS] = block @ asked / np.maximum(lengths, 1e-9)
        similar /= max(float(np.sqrt(asked @ asked)), 1e-9)
        few = np.argsort(-similar)[:most]
        return [NearPhoto(self.keys[each], max(0.0, 1 - float(similar[each]))) for each in few]


_last: dict[tuple[str, str, str], Index] = {}
"""The index that was read last, by bucket, key and ETag: 26 MB, and as much again for its keys."""


def index_of(s3: Any, result: RunLayout) -> Index | None:
    """The index of a result; None for one that has none."""
    listed = s3.list_objects_v2(Bucket=result.bucket, Prefix=result.neighbours).get("Contents", [])
    for entry in listed:
        if entry["Key"].endswith(".parquet"):
            name = result.bucket, entry["Key"], entry["ETag"]
            index = _last.get(name) or _read(s3, result.bucket, entry["Key"])
            _last.clear()
            _last[name] = index
            return index
    return None


def _read(s3: Any, bucket: str, key: str) -> Index:
    import numpy as np
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
    keys, vectors = table.column("key").to_pylist(), table.column("vector").to_pylist()
    places = {each: place for place, each in enumerate(keys)}
    return Index(places, keys, np.frombuffer(b"".join(vectors), np.int8).reshape(len(keys), -1))
