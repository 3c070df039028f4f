"""Promise: what cannot classify is refused in one sentence: what is wrong, the value, what to do."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fruit_contract.layout import LATEST_KEY, RunLayout
from fruit_spark.predict.classifier import Classifier, read_card, read_layers
from fruit_spark.predict.classifier_source import read_classifier, read_model
from fruit_spark.step_errors import StepError
from fruit_spark.storage.s3 import store_for
from tests.fruit_spark import numpy_classifier
from tests.fruit_spark.conftest import S3_ENVIRONMENT
from tests.fruit_spark.storage.test_s3 import create_bucket


def with_card(folder: Path, **fields: Any) -> None:
    card = json.loads((folder / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(card | fields))


def of_another_pca(folder: Path) -> None:
    layers = read_classifier(str(folder)).layers
    (folder / "layers.npz").write_bytes(replace(layers, components=-layers.components).to_bytes())


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no classifier": (
        lambda folder: (folder / "classifier.json").unlink(),
        "has no classifier, .*classifier.json is not there: start a run with classifier=linear",
    ),
    "a forest": (
        lambda folder: with_card(folder, kind="forest"),
        "is a forest, which only Spark reads: start a run with classifier=linear",
    ),
    "no layers": (
        lambda folder: (folder / "layers.npz").unlink(),
        "is not whole, .*layers.npz is not there: fetch it again",
    ),
    "another PCA": (of_another_pca, r"layers.npz is a model of another PCA \(\w{12}\) than its card's"),
    "no JSON": (
        lambda folder: (folder / "classifier.json").write_text("{"),
        r"classifier.json is damaged \(JSONDecodeError: .*\): fetch it again",
    ),
    "a list": (
        lambda folder: (folder / "classifier.json").write_text("[]"),
        r"classifier.json is damaged \(TypeError",
    ),
    "no thresholds": (
        lambda folder: with_card(folder, thresholds={"residual": 1.0}),
        r"classifier.json is damaged \(KeyError: 'probability'\)",
    ),
    "labels that are no words": (
        lambda folder: with_card(folder, labels=["Kiwi", 3]),
        r"classifier.json is damaged \(ValueError: labels is \['Kiwi', 3\]\)",
    ),
    "other labels": (
        lambda folder: with_card(folder, labels=["Kiwi"]),
        r"layers.npz is damaged \(ValueError: features, components and labels are \(1280, 12, 16\)\)",
    ),
    "no archive": (
        lambda folder: (folder / "layers.npz").write_bytes(b"no archive"),
        "layers.npz is damaged .*: fetch it again",
    ),
}
"""What is done to the folder of a classifier, and a pattern of the sentence that it comes to."""


@pytest.mark.parametrize("kind", UNUSABLE)
def test_a_classifier_that_cannot_be_applied_is_refused_in_one_sentence(
    kind: str, classifier: Classifier, tmp_path: Path
) -> None:
    spoil, said = UNUSABLE[kind]
    spoil(numpy_classifier.write(classifier, tmp_path / "classifier"))
    with pytest.raises(StepError, match=said) as refused:
        read_classifier(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_a_result_and_the_folder_of_its_classifier_are_the_same(result: Path, classifier: Classifier) -> None:
    for address in (str(result), f"{result}/", str(result / "classifier")):
        assert read_classifier(address).card == classifier.card


def test_damage_anywhere_is_refused_and_never_another_error(classifier: Classifier) -> None:
    card, whole = classifier.card, classifier.layers.to_bytes()
    text, chance = json.dumps(card).encode(), np.random.default_rng(0)
    for length in chance.integers(0, len(whole), 40):
        with pytest.raises(StepError, match="damaged"):
            read_layers(whole[:length], card, "layers.npz")
    for length in range(0, len(text), 97):
        with pytest.raises(StepError, match="damaged"):
            read_card(text[:length], "classifier.json")
    # The names and sizes in an archive, where a changed byte makes the most of different errors.
    for at in [*range(160), *range(len(whole) - 160, len(whole))]:
        changed = bytearray(whole)
        changed[at] ^= 0xFF
        with suppress(StepError):
            assert read_layers(bytes(changed), card, "layers.npz").to_bytes() == whole


def test_the_model_of_the_features_is_found_by_its_content(
    classifier: Classifier, model: Path, tmp_path: Path
) -> None:
    facts, content = classifier.card["model"], model.read_bytes()
    assert read_model(model, facts) == read_model(model.parent, facts) == content
    other = tmp_path / "other.tflite"
    other.write_bytes(b"other")
    with pytest.raises(
        StepError, match=f"SHA-256 {hashlib.sha256(b'other').hexdigest()[:12]}, and .*--model"
    ):
        read_model(other, facts)
    with pytest.raises(StepError, match=r"could not be read \(No such file or directory\): build it"):
        read_model(tmp_path, facts)
    with pytest.raises(StepError, match=r"The model a+ could not be read \(File name too long\): build it"):
        read_model(Path("a" * 300), facts)
    with pytest.raises(StepError, match="of the engine keras, and here litert"):
        read_model(model, {**facts, "engine": "keras"})


TRIED: list[tuple[dict[str, Any], str]] = [
    ({"skipped": "There is 1 label.", "gate": None}, r"This result has no classifier\. There is 1 label\.$"),
    (
        {"skipped": None, "gate": {"passed": False, "reason": "It is worse."}},
        r"This result has no classifier\. It is worse\.$",
    ),
    ({"skipped": None, "gate": {"passed": True, "reason": "It is good."}}, "classifier.json is not there"),
    ({"skipped": None}, r"train.json is damaged \(KeyError: 'gate'\)"),
]


@pytest.mark.parametrize(("metrics", "words"), TRIED)
def test_a_run_that_has_trained_in_vain_says_why(metrics: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text(json.dumps(metrics))
    with pytest.raises(StepError, match=words):
        read_classifier(str(tmp_path))


def test_of_a_bucket_the_current_classifier_is_read(
    classifier: Classifier, result: Path, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    for name, value in (S3_ENVIRONMENT | {"AWS_ENDPOINT_URL": s3_endpoint}).items():
        monkeypatch.setenv(name, value)
    layout = RunLayout("fruits-predict-tests", "run-1")
    create_bucket(s3_endpoint, layout.bucket)
    store = store_for(layout.bucket)
    with pytest.raises(StepError, match=r"has no result, Results/latest.json is not there"):
        read_classifier(f"s3://{layout.bucket}")
    obstore.put(store, LATEST_KEY, b'{"run_key": "run-1"}')
    with pytest.raises(StepError, match="current result of s3://fruits-predict-tests has no classifier"):
        read_classifier(f"s3://{layout.bucket}/")
    obstore.put(store, LATEST_KEY, json.dumps({"report": layout.uri(layout.report)}).encode())
    obstore.put(store, layout.train_metrics, b'{"skipped": "There is 1 label."}')
    with pytest.raises(StepError, match=r"train\.json is damaged"):
        read_classifier(f"s3://{layout.bucket}")
    obstore.put(store, layout.train_metrics, b'{"skipped": "There is 1 label.", "gate": null}')
    with pytest.raises(StepError, match="There is 1 label"):
        read_classifier(f"s3://{layout.bucket}")
    obstore.put(store, LATEST_KEY, json.dumps({"classifier": layout.uri(layout.classifier)}).encode())
    for file in (result / "classifier").iterdir():
        obstore.put(store, f"{layout.classifier}{file.name}", file.read_bytes())
    for address in (f"s3://{layout.bucket}", layout.uri(layout.classifier)):
        assert read_classifier(address).layers.pca == classifier.layers.pca
    obstore.put(store, LATEST_KEY, b"no pointer")
    with pytest.raises(StepError, match="is no pointer to a result"):
        read_classifier(f"s3://{layout.bucket}")
    with pytest.raises(StepError, match="is not an S3 address"):
        read_classifier("s3:///")
    with pytest.raises(StepError, match=r"s3://no-such-bucket-of-tests/.* could not be read|has no result"):
        read_classifier("s3://no-such-bucket-of-tests")
