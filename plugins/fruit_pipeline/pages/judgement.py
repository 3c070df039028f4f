"""What the judgement of a run's classifier says, in words and in the lines of a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from fruit_contract.classifier import Judgement, TrainMetrics

_NONE: Final = "none"


@dataclass(frozen=True)
class Line:
    """A figure by the split that was asked for, and by hash."""

    name: str
    judged: str
    by_hash: str


def split_name(split: str) -> str:
    """How test photos were held out. By hash, photos of one session are on both sides."""
    return "by hash (optimistic)" if split == "hash" else f"by {split}"


def accuracy(top1: float, split: str) -> str:
    """Never without the split: a share by hash promises too much.

    >>> accuracy(0.912, "session"), accuracy(0.99, "hash")
    ('91.2% by session', '99.0% by hash (optimistic)')
    """
    return f"{top1:.1%} {split_name(split)}"


def decided_by(metrics: TrainMetrics) -> str:
    """The split by which the gate, the curves and the worst labels are: by hash where no other could be."""
    return split_name(metrics["judged"]["split"] if metrics["judged"] else "hash")


def is_by_both(metrics: TrainMetrics) -> bool:
    """Whether the two splits differ: by hash may have been asked for."""
    return metrics["judged"] is None or metrics["judged"]["split"] != "hash"


def lines(metrics: TrainMetrics) -> list[Line]:
    """The figures of both splits side by side."""
    both = metrics["judged"], metrics["by_hash"]
    return [Line(name, *(said(each) if each else "not tested" for each in both)) for name, said in _FIGURES]


def not_tested(metrics: TrainMetrics) -> str | None:
    """Which labels no figure is of, in one sentence."""
    count, names = metrics["not_tested_count"], metrics["not_tested"]
    if not count:
        return None
    if metrics["judged"] is None:
        return "By the split that was asked for, no label had a photo to hold out: the figures are by hash."
    more = f" and {count - len(names):,} more" if count > len(names) else ""
    labels, those = ("label", "it") if count == 1 else ("labels", "them")
    return f"{count:,} {labels} had no photo held out, so no figure is of {those}: {', '.join(names)}{more}."


def _share(value: float | None) -> str:
    return _NONE if value is None else f"{value:.1%}"


def _top1(judged: Judgement) -> str:
    low, high = judged["interval"]
    return f"{judged['top1']:.1%}, 95% interval {low:.1%} to {high:.1%}"


def _pca_cost(judged: Judgement) -> str:
    return "not tried" if judged["pca_cost"] is None else f"{judged['pca_cost']:.1f} points"


_FIGURES: Final[tuple[tuple[str, Callable[[Judgement], str]], ...]] = (
    ("right label (top-1)", _top1),
    ("right label among five (top-5)", lambda judged: _share(judged["top5"])),
    ("macro F1", lambda judged: f"{judged['macro_f1']:.3f}"),
    ("right parent folder (coarse)", lambda judged: _share(judged["coarse"])),
    ("the commonest label reaches", lambda judged: _share(judged["majority"])),
    ("the nearest mean reaches", lambda judged: _share(judged["nearest_mean"])),
    ("cost of the PCA", _pca_cost),
    ("calibration error before and after", lambda j: f"{j['ece_before']:.3f}, {j['ece_after']:.3f}"),
    ("test photos with a twin learnt from (leak)", lambda judged: _share(judged["leak"])),
    ("photos learnt from", lambda judged: f"{judged['train_photos']:,}"),
    (
        "photos and labels tested",
        lambda judged: f"{judged['test_photos']:,} of {judged['test_labels']:,} labels",
    ),
)
