"""Pictures of how a classifier errs."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from fruit_contract.classifier import Bin
from fruit_spark.classifier.class_moments import Numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED: Final = 60
"""Labels whose names can be read along a side."""


def draw_confusion(predicted: Numbers, truth: Numbers, labels: Sequence[str]) -> bytes:
    """PNG: the share of each tested label's photos by what they were taken for."""
    shown = np.unique(np.concatenate([truth, predicted]))
    places = np.searchsorted(shown, np.stack([truth, predicted]))
    counts = np.zeros((len(shown), len(shown)))
    np.add.at(counts, tuple(places), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = _figure(10, 9)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(image, label="share of the label's photos")
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    if len(shown) <= _NAMED:
        names = [labels[number] for number in shown]
        # A label is no formula, whatever dollars it has.
        axes.set_xticks(range(len(shown)), names, rotation=90, fontsize=6, parse_math=False)
        axes.set_yticks(range(len(shown)), names, fontsize=6, parse_math=False)
    figure.suptitle(f"{(predicted == truth).mean():.1%} of {len(truth)} photos are right")
    return _png(figure)


def draw_reliability(bins: Sequence[Bin], error: float) -> bytes:
    """PNG: how often answers are right, by how sure they are."""
    figure = _figure(6, 6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], linestyle="--", color="tab:gray", label="as sure as right")
    sizes = np.sqrt([each["photos"] for each in bins])
    axes.scatter(
        [each["confidence"] for each in bins],
        [each["right"] for each in bins],
        s=20 + 180 * sizes / sizes.max(),
        color="tab:blue",
        label="answers; larger: more photos",
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("probability of the answer")
    axes.set_ylabel("share that is right")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.3)
    figure.suptitle(f"Expected calibration error {error:.3f}")
    return _png(figure)


def _figure(width: float, height: float) -> "Figure":
    # The object-oriented API draws without a display and without pyplot, which takes longer to import.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _png(figure: "Figure") -> bytes:
    content = io.BytesIO()
    # No date and no version inside: the same figures give the same bytes.
    figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
