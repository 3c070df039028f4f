"""``python -m bench.classifier_report --images FOLDER``: the classifiers side by side, for docs/evidence.

The three steps run as on a cluster, each a process of its own. Photos lie in one folder a label. With
``--outside``, a folder of photos of something else, it is measured how well the residual tells them apart.
"""

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from bench.measurements import FEATURIZE, MODEL
from bench.spark_process import ROOT, Java, submit
from evidence.marked_text import EVIDENCE, table, write
from fruit_contract.classifier import (
    CARD_NAME,
    CLASSIFIERS,
    JUDGED_LAYERS_NAME,
    ClassifierCard,
    TrainMetrics,
)
from fruit_spark.classifier.holdout import held_out
from fruit_spark.classifier.judging import auroc
from fruit_spark.classifier.layers import Layers
from fruit_spark.classifier.sessions import sessions_by

REDUCE: Final = ROOT / "spark" / "reduce.py"
TRAIN: Final = ROOT / "spark" / "train.py"
_COMPONENTS: Final = 256
_JAVA: Final = Java("-XX:+UseSerialGC")
"""With the second compiler, as on EMR: a forest and a network are learnt in Java."""
_KINDS: Final = [kind for kind in CLASSIFIERS if kind != "none"]

Features = npt.NDArray[np.float32]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.classifier_report", description=__doc__, allow_abbrev=False)
    parser.add_argument("--images", type=Path, required=True, help="photos, one folder a label")
    parser.add_argument("--outside", type=Path, help="photos of something else")
    parser.add_argument("--kinds", nargs="+", choices=_KINDS, default=_KINDS, help="Default: all")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fruit-classifiers-") as folder:
        write(EVIDENCE / "classifier.md", report(Path(folder), given.images, given.outside, given.kinds))
    return 0


def report(folder: Path, images: Path, outside: Path | None, kinds: list[str]) -> list[str]:
    """The lines of the page."""
    features = _featurize(images, folder / "photos")
    pca = folder / "pca"
    submit(REDUCE, _reducing(features, pca, folder))
    trained: dict[str, TrainMetrics] = {kind: _train(kind, features, pca, folder / kind) for kind in kinds}
    lines = _side_by_side(trained)
    linear = trained["linear"]
    card: ClassifierCard = json.loads((folder / "linear" / CARD_NAME).read_text())
    lines += ["", *_of_splits(linear), "", *_of_labels(linear)]
    if outside is not None:
        inside = _held_out(features)
        judged = Layers.read((folder / "linear" / JUDGED_LAYERS_NAME).read_bytes())
        others = _vectors(_featurize(outside, folder / "outside"))[1]
        lines += ["", _of_outside(judged, inside, others, card)]
    return lines


def _featurize(images: Path, output: Path) -> Path:
    given = {"--input": images, "--features": output / "features", "--rejected": output / "rejected"}
    submit(FEATURIZE, {**given, "--metrics": output / "featurize.json", "--model": MODEL})
    return output / "features"


def _reducing(features: Path, pca: Path, folder: Path) -> dict[str, object]:
    return {
        "--features": features,
        "--output": folder / "components",
        "--model-output": pca,
        "--metrics": folder / "reduce.json",
        "--plot": folder / "variance.png",
        "--components": _COMPONENTS,
        "--min-variance": 0,
    }


def _train(kind: str, features: Path, pca: Path, output: Path) -> TrainMetrics:
    model = json.loads((features.parent / "featurize.json").read_text())["model"]
    given = {
        "--features": features,
        "--root": _root(features),
        "--pca-model": pca,
        "--output": output,
        "--metrics": output.with_suffix(".json"),
        "--confusion": output.with_suffix(".confusion.png"),
        "--reliability": output.with_suffix(".reliability.png"),
        "--model-facts": json.dumps(model),
        "--classifier": kind,
    }
    submit(TRAIN, given, java=_JAVA)
    metrics: TrainMetrics = json.loads(output.with_suffix(".json").read_text())
    if metrics["judged"] is None:
        raise SystemExit(f"error: {metrics['skipped'] or 'No label has two sessions'}: give other photos.")
    return metrics


def _side_by_side(trained: Mapping[str, TrainMetrics]) -> list[str]:
    """A row each."""
    rows = []
    for kind, metrics in trained.items():
        judged: Any = metrics["judged"]
        low, high = judged["interval"]
        rows.append(
            [
                kind,
                f"{judged['top1']:.1%} ({low:.1%} to {high:.1%})",
                f"{judged['top5']:.1%}",
                f"{judged['macro_f1']:.3f}",
                f"{judged['ece_before']:.3f}, {judged['ece_after']:.3f}",
                f"{metrics['seconds']:.0f} s",
                f"{metrics['bytes'] / 1e6:.1f} MB",
            ]
        )
    first: Any = trained["linear"]["judged"]
    rows.append(["nearest mean of a label", f"{first['nearest_mean']:.1%}", *[""] * 5])
    rows.append(["commonest label", f"{first['majority']:.1%}", *[""] * 5])
    head = ["classifier", "right (95 % interval)", "among the best five", "macro F1"]
    said = (
        f"{trained['linear']['photos']:,} photos of {trained['linear']['labels']} labels, of which "
        f"{first['test_photos']:,} of {first['test_labels']} labels were held out, whole sessions each."
    )
    return [said, "", *table([*head, "ECE before, after temperature", "step", "size"], rows)]


def _of_splits(metrics: TrainMetrics) -> list[str]:
    rows = []
    for judgement in (metrics["judged"], metrics["by_hash"]):
        its: Any = judgement
        note = "by session" if its["split"] == "session" else "at random: optimistic"
        cost = f"{its['pca_cost']:+.1f} points" if its["pca_cost"] is not None else "not tried"
        rows.append([note, f"{its['top1']:.1%}", f"{its['leak']:.0%}", cost])
    return table(
        ["held out", "right", "have a twin that was learnt from", "1,280 features against components"], rows
    )


def _of_labels(metrics: TrainMetrics) -> list[str]:
    rows = [
        [each["label"], f"{each['photos']}", f"{each['right']:.0%}", f"{each['f1']:.2f}"]
        for each in metrics["worst_labels"]
    ]
    return table(["worst labels", "photos", "right", "F1"], rows)


def _of_outside(judged: Layers, inside: Features, others: Features, card: ClassifierCard) -> str:
    own, foreign = judged.residuals(inside), judged.residuals(others)
    limit = card["thresholds"]["residual"]
    return (
        f"{len(others):,} photos of something else: the AUROC of their residual, against photos held out, is "
        f"{auroc(own, foreign):.3f}. Above the threshold: {(foreign > limit).mean():.1%} of them, and "
        f"{(own > limit).mean():.1%} of the photos held out."
    )


def _vectors(features: Path) -> tuple[list[tuple[str, str]], Features]:
    """Path and label of each photo, and float32 [n, 1280]."""
    rows = pq.read_table(features, columns=["path", "label", "features"])
    rows = rows.filter(rows.column("features").is_valid())
    names = list(zip(rows.column("path").to_pylist(), rows.column("label").to_pylist(), strict=True))
    return names, np.array(rows.column("features").to_pylist(), np.float32)


def _root(features: Path) -> str:
    """What stands before ``label/file`` in a path: which sessions are held out depends on the rest alone."""
    path: str = pq.read_table(features, columns=["path"]).column("path")[0].as_py()
    return f"{path.rsplit('/', 2)[0]}/"


def _held_out(features: Path) -> Features:
    """Of the photos that the step has held out."""
    (names, vectors), root = _vectors(features), _root(features)
    session_of = sessions_by(None)
    of_photos = [(label, session_of(path.removeprefix(root), None)) for path, label in names]
    held = held_out(Counter(of_photos))
    return vectors[[its in held for its in of_photos]]


if __name__ == "__main__":
    sys.exit(main())
