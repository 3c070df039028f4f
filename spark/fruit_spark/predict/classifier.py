"""A classifier from the bytes of its card and its layers, checked against each other."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from fruit_contract.classifier import ClassifierCard, Thresholds
from fruit_contract.report_schema import ModelFacts
from fruit_spark.classifier.layers import Layers
from fruit_spark.model.engines import FEATURE_DIM
from fruit_spark.step_errors import StepError

_NEEDED: Final = ("run_key", "kind", "labels", "model", "components", "pca", "thresholds")
"""Of the card. What else it says is for people, and may be missing."""


@dataclass(frozen=True)
class Classifier:
    card: ClassifierCard
    layers: Layers


def read_card(content: bytes, address: str) -> ClassifierCard:
    """The card in the bytes of ``classifier.json``; ``StepError`` where they are none."""
    with whole(address):
        card: ClassifierCard = json.loads(content)
        _check_fields(card, ClassifierCard, _NEEDED)
        check_facts(card["model"])
        _check_fields(card["thresholds"], Thresholds)
    return card


def check_facts(found: Mapping[str, Any]) -> None:
    """An error, of whatever type, unless these are the facts of a model."""
    _check_fields(found, ModelFacts)


def _check_fields(found: Mapping[str, Any], shape: type, names: Iterable[str] | None = None) -> None:
    """An error unless some fields of a TypedDict, or all, are there and of their types."""
    kinds: dict[Any, Any] = {float: (int, float), list[str]: list, ModelFacts: dict, Thresholds: dict}
    hints = get_type_hints(shape)
    for name in names or hints:
        kind, value = hints[name], found[name]
        if not isinstance(value, kinds.get(kind, kind)) or (
            kind == list[str] and {*map(type, value)} != {str}
        ):
            raise ValueError(f"{name} is {value!r}")


def read_layers(content: bytes, card: ClassifierCard, address: str) -> Layers:
    """The layers in the bytes of ``layers.npz``; ``StepError`` where they are none, or not the card's."""
    with whole(address):
        layers = Layers.read(content)
        found = (*layers.components.shape, len(layers.dense[-1][1]))
        if found != (FEATURE_DIM, card["components"], len(card["labels"])):
            raise ValueError(f"features, components and labels are {found}")
    if layers.pca != card["pca"]:
        raise StepError(
            f"{address} is a model of another PCA ({layers.pca[:12]}) than its card's ({card['pca'][:12]}): "
            "take both from one run."
        )
    return layers


@contextmanager
def whole(address: str) -> Iterator[None]:
    """Whatever a reader has against a file, of whatever type, as one sentence."""
    try:
        yield
    except Exception as problem:
        said = (str(problem).splitlines() or [""])[0].strip().rstrip(".")
        raise StepError(
            f"{address} is damaged ({type(problem).__name__}: {said}): fetch it again."
        ) from problem
