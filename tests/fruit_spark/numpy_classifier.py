"""A small classifier fitted with NumPy: the nearest mean in components of scaled features, as one layer."""

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from fruit_contract.classifier import CARD_NAME, LAYERS_NAME, ClassifierCard, Thresholds
from fruit_contract.report_schema import ModelFacts
from fruit_spark.classifier.layers import Layers
from fruit_spark.model.engines import Features
from fruit_spark.predict.classifier import Classifier

COMPONENTS = 12


def fit(features: Features, labels: list[str], model: bytes, image_size: int) -> Classifier:
    """Of float32 [n, 1280] that ``model``, a .tflite with float32 weights, gave at ``image_size``."""
    values, known = features.astype(np.float64), sorted(set(labels))
    mean = values.mean(axis=0)
    spread = np.where(values.std(axis=0) > 0, values.std(axis=0), 1)
    directions = np.linalg.svd((values - mean) / spread, full_matrices=False)[2][:COMPONENTS].T
    components = np.ascontiguousarray(directions / spread[:, None])
    reduced = values @ components
    shift, scale = reduced.mean(axis=0), reduced.std(axis=0)
    means = np.stack(
        [(reduced[[given == label for given in labels]].mean(axis=0) - shift) / scale for label in known]
    )
    dense = ((means.T.copy(), -(means**2).sum(axis=1) / 2),)
    layers = Layers(mean, components, spread, shift, scale, dense)
    facts = ModelFacts(
        name="MobileNetV2 1.0",
        weights="those of the tests",
        fingerprint=hashlib.sha256(model).hexdigest(),
        image_size=image_size,
        engine="litert",
        precision="float32",
    )
    lengths = layers.residuals(features)
    card = ClassifierCard(
        run_key="test",
        kind="linear",
        labels=known,
        model=facts,
        components=COMPONENTS,
        pca=layers.pca,
        temperature=1.0,
        thresholds=Thresholds(residual=float(np.quantile(lengths, 0.99)), probability=0.5),
        trained_on=len(features),
        split="hash",
        usual_residual=float(np.quantile(lengths, 0.95)),
        shares={label: labels.count(label) / len(labels) for label in known},
    )
    return Classifier(card, layers)


def with_a_hidden_layer(classifier: Classifier) -> Classifier:
    """A network of the same inputs and labels, whose weights are chance."""
    chance = np.random.default_rng(3)
    widths = (COMPONENTS, 7, len(classifier.card["labels"]))
    dense = tuple(
        (chance.normal(size=(before, after)), chance.normal(size=after)) for before, after in pairwise(widths)
    )
    card: ClassifierCard = {**classifier.card, "kind": "network"}
    return Classifier(card, replace(classifier.layers, dense=dense))


def write(classifier: Classifier, folder: Path) -> Path:
    """The folder, with the files of the classifier that NumPy needs."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CARD_NAME).write_text(json.dumps(classifier.card))
    (folder / LAYERS_NAME).write_bytes(classifier.layers.to_bytes())
    return folder
