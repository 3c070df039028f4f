"""Promise: one photo gets the answer that it would get in a run, and a wrong command one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fruit_spark.features.feature_batches import _decode
from fruit_spark.model.engines import Features, LiteRtEngine
from fruit_spark.photos.fetch import read_images
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.predict.classifier import Classifier
from fruit_spark.predict.command_line import Predictor, main, photos
from fruit_spark.step_errors import StepError
from tests.conftest import REPOSITORY
from tests.fruit_spark import numpy_classifier, photo_files

HEAVY = {"pyspark", "tensorflow", "keras", "pyarrow", "obstore", "matplotlib", "cv2", "PIL"}
"""What one photo needs not, or only in the process that decodes it."""


@pytest.fixture
def odd_photos(tmp_path: Path) -> Path:
    for kind, (make, _) in photo_files.REJECTED.items():
        (tmp_path / f"{kind}.jpg").write_bytes(make())
    return tmp_path


@pytest.mark.parametrize("kind", ["linear", "network"])
def test_200_photos_have_the_same_answers_in_a_batch_and_singly(
    kind: str,
    generated: list[WorkItem],
    features: Features,
    classifier: Classifier,
    predictor: Predictor,
) -> None:
    used = classifier if kind == "linear" else numpy_classifier.with_a_hidden_layer(classifier)
    labels = used.card["labels"]
    together, residuals = used.layers.probabilities(features), used.layers.residuals(features)
    alone = [Predictor(predictor.engine, used).answer(photo) for photo in generated]
    assert len(alone) == 200
    for answer, probabilities, residual in zip(alone, together, residuals, strict=True):
        assert answer.best[0][0] == labels[probabilities.argmax()]
        expected = [probabilities[labels.index(label)] for label, _ in answer.best]
        np.testing.assert_allclose([share for _, share in answer.best], expected, rtol=0, atol=1e-5)
        assert answer.residual == pytest.approx(residual, abs=1e-5)


def test_most_generated_photos_get_their_label(generated: list[WorkItem], predictor: Predictor) -> None:
    right = [predictor.answer(photo).label == Path(photo.uri).parent.name for photo in generated]
    assert np.mean(right) > 0.7


def test_what_the_step_rejects_is_rejected_with_the_same_reason(
    odd_photos: Path, engine: LiteRtEngine, predictor: Predictor
) -> None:
    given = list(photos([str(odd_photos)]))
    of_step = {each.path: each.reason for each in _decode(read_images(given), engine, 96)}
    found = {photo.uri: predictor.answer(photo) for photo in given}
    assert {path: answer.reason for path, answer in found.items()} == of_step
    assert {answer.outcome for answer in found.values()} == {"rejected"}


def test_other_photos_are_answered_beside_a_rejected_one(
    odd_photos: Path, result: Path, model: Path, generated: list[WorkItem], capsys: pytest.CaptureFixture[str]
) -> None:
    named = [generated[0].uri, str(odd_photos / "empty.jpg"), generated[1].uri]
    options = ["--result", str(result), "--model", str(model), "--json"]
    assert main([*named, *options]) == 1
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [answer["photo"] for answer in answers] == named
    assert [answer["outcome"] == "rejected" for answer in answers] == [False, True, False]
    assert main([named[0], *options]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "error: PHOTO is missing: name a photo or a folder with photos."),
        ("none.jpg", "error: There is no photo or folder 'none.jpg': name one that is there."),
        ("docs", "error: No images below "),
        ("README.md --result none", "error: none has no classifier, none/classifier.json is not there: "),
        ("README.md --nosuch", "error: unrecognized arguments: --nosuch"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    arguments: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").touch()
    done = subprocess.run(
        [sys.executable, "-m", "predict", *arguments.split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_one_photo_loads_neither_spark_nor_tensorflow(
    result: Path, model: Path, generated: list[WorkItem]
) -> None:
    program = (
        "import sys; from fruit_spark.predict.command_line import main; "
        "code = main(sys.argv[1:]); print(*{name.partition('.')[0] for name in sys.modules}); sys.exit(code)"
    )
    arguments = [generated[0].uri, "--result", str(result), "--model", str(model)]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    answer, modules = done.stdout.splitlines()
    assert answer.startswith(f"{generated[0].uri}: ")
    assert "numpy" in modules.split()
    assert not HEAVY & set(modules.split())


def test_a_folder_without_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=f"No images below {tmp_path}: give a folder with .jpg"):
        list(photos([str(tmp_path)]))
