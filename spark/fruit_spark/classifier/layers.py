"""A classifier as arrays: PCA, scaling and dense layers, by which NumPy alone answers.

The file's arrays are described in :mod:`fruit_contract.classifier`.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

_BLOCK: Final = 1_000
Float64 = npt.NDArray[np.float64]


class LayersError(ValueError):
    """A file that holds no such layers; one sentence."""


@dataclass(frozen=True)
class Layers:
    """See the module; d features, k components, one output for each label."""

    mean: Float64
    components: Float64
    spread: Float64
    shift: Float64
    scale: Float64
    dense: tuple[tuple[Float64, Float64], ...]
    """Weights [inputs, outputs] and bias [outputs] of each dense layer."""

    @classmethod
    def read(cls, content: bytes) -> "Layers":
        """Of ``layers.npz``; ``LayersError`` where an array is missing, of another shape, or not finite."""
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                arrays = {name: np.asarray(file[name], np.float64) for name in file.files}
            count = sum(name.startswith("weights_") for name in arrays)
            dense = tuple((arrays[f"weights_{i}"], arrays[f"bias_{i}"]) for i in range(count))
            pca = (arrays["mean"], arrays["components"], arrays.get("spread", np.ones_like(arrays["mean"])))
            layers = cls(*pca, arrays["shift"], arrays["scale"], dense)
        except (ValueError, KeyError, OSError, EOFError, BadZipFile) as problem:
            raise LayersError(f"The layers of the classifier cannot be read ({problem}).") from problem
        if not (layers._fit_together() and all(np.isfinite(array).all() for array in arrays.values())):
            raise LayersError("The layers of the classifier do not fit together, or are not finite.")
        return layers

    def _fit_together(self) -> bool:
        width = self.components.shape[1] if self.components.ndim == 2 else 0
        wanted = self.mean.shape == self.spread.shape == self.components.shape[:1]
        wanted = wanted and self.shift.shape == self.scale.shape == (width,)
        for weights, bias in self.dense:
            wanted = wanted and weights.shape == (width, *bias.shape)
            width = len(bias)
        return bool(wanted)

    def to_bytes(self) -> bytes:
        """The content of ``layers.npz``."""
        sink = io.BytesIO()
        names = ("mean", "components", "spread", "shift", "scale")
        arrays = {name: getattr(self, name) for name in names}
        for number, (weights, bias) in enumerate(self.dense):
            arrays |= {f"weights_{number}": weights, f"bias_{number}": bias}
        np.savez(sink, **arrays)
        return sink.getvalue()

    @property
    def pca(self) -> str:
        """SHA-256 of the PCA's matrix, hex: what the card calls ``pca``."""
        return fingerprint(self.components)

    def scaled(self, features: npt.NDArray[np.floating[Any]]) -> Float64:
        """Features [n, d] to what the first layer takes, [n, k]."""
        scaled: Float64 = (features.astype(np.float64) @ self.components - self.shift) / self.scale
        return scaled

    def cooled(self, temperature: float) -> "Layers":
        """With the logits divided by ``temperature``."""
        if not self.dense:
            return self
        *before, (weights, bias) = self.dense
        return replace(self, dense=(*before, (weights / temperature, bias / temperature)))

    def logits(self, features: npt.NDArray[np.floating[Any]]) -> Float64:
        """Features [n, d] to one number a label, [n, labels], before softmax."""
        return _by_blocks(self._logits, features)

    def _logits(self, features: npt.NDArray[np.floating[Any]]) -> Float64:
        values = self.scaled(features)
        for number, (weights, bias) in enumerate(self.dense):
            if number:
                # The sigmoid, without a power that could overflow.
                values = 0.5 + 0.5 * np.tanh(values / 2)
            values = values @ weights + bias
        return values

    def probabilities(self, features: npt.NDArray[np.floating[Any]]) -> Float64:
        """Features [n, d] to probabilities [n, labels], which sum to 1 in each row."""
        return softmax(self.logits(features))

    def residuals(self, features: npt.NDArray[np.floating[Any]]) -> Float64:
        """How long that part of ``(features - mean) / spread`` is which the components do not span, [n]."""
        return _by_blocks(self._residuals, features)

    def _residuals(self, features: npt.NDArray[np.floating[Any]]) -> Float64:
        centred = features.astype(np.float64) - self.mean
        # By the part itself, and not by a difference of two squares, which would cancel.
        rest = centred / self.spread - (centred @ self.components) @ self.directions.T
        lengths: Float64 = np.linalg.norm(rest, axis=1)
        return lengths

    @property
    def directions(self) -> Float64:
        """The PCA's orthonormal directions, of features divided by ``spread``, [d, k]."""
        return self.components * self.spread[:, None]


def _by_blocks(
    function: Callable[[npt.NDArray[np.floating[Any]]], Float64], rows: npt.NDArray[np.floating[Any]]
) -> Float64:
    """``function`` of all rows, some at a time: in float64 they would take several times their room."""
    starts = range(0, max(1, len(rows)), _BLOCK)
    return np.concatenate([function(rows[start : start + _BLOCK]) for start in starts])


def fingerprint(components: Float64) -> str:
    """SHA-256 of a PCA's matrix as float64 by rows, hex."""
    return hashlib.sha256(np.ascontiguousarray(components, np.float64).tobytes()).hexdigest()


def softmax(logits: Float64) -> Float64:
    """Of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Float64 = powers / powers.sum(axis=1, keepdims=True)
    return shares
