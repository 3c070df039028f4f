"""Promise: the exported file answers a photo as predict does, and tells whoever loads it what it needs."""

import io
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from artifacts import classifier_export
from artifacts.arm64_worker import write_answers
from artifacts.classifier_export import CHECKED, TOLERANCE, Answers, answers, checked_photos, compare, export
from artifacts.tflite_metadata import LABELS_NAME, SIGNATURE
from fruit_spark.model.engines import LiteRtEngine
from fruit_spark.photos.decode import decode_with_opencv
from fruit_spark.predict.classifier import Classifier
from fruit_spark.predict.command_line import Predictor
from fruit_spark.step_errors import StepError
from local_run.generated_photos import generate
from tests.fruit_spark import numpy_classifier, photo_files

SIZE = 96
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("photos"), 200)


@pytest.fixture(scope="module")
def model_file(model_folder: Path) -> Path:
    return model_folder / "mobilenetv2.tflite"


@pytest.fixture(scope="module")
def classifier(photos: Path, model_file: Path) -> Classifier:
    """Its second label holds what would be two lines of a file of labels."""
    engine = LiteRtEngine(model_file.read_bytes(), SIZE)
    found = sorted(photos.rglob("*.jpg"))[::2]
    features = engine.predict(np.stack([decode_with_opencv(photo.read_bytes(), SIZE) for photo in found]))
    fitted = numpy_classifier.fit(
        features, [photo.parent.name for photo in found], model_file.read_bytes(), SIZE
    )
    fitted.card["labels"][1] = "Äpfel\n🍏"
    return fitted


@pytest.fixture(scope="module", params=["linear", "network"])
def predictor(request: pytest.FixtureRequest, classifier: Classifier, model_file: Path) -> Predictor:
    engine = LiteRtEngine(model_file.read_bytes(), SIZE)
    linear = request.param == "linear"
    return Predictor(engine, classifier if linear else numpy_classifier.with_a_hidden_layer(classifier))


@pytest.fixture(scope="module")
def files(predictor: Predictor, model_folder: Path, photos: Path) -> dict[str, bytes]:
    return export(predictor, model_folder, photos)


def test_the_file_answers_as_predict_does(
    files: dict[str, bytes], predictor: Predictor, photos: Path
) -> None:
    pixels, layers = checked_photos(photos, SIZE), predictor.classifier.layers
    assert len(pixels) == CHECKED
    features = predictor.engine.predict(pixels)
    found = answers(files["classifier.tflite"], pixels)
    np.testing.assert_allclose(found.probabilities, layers.probabilities(features), rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(found.residuals, layers.residuals(features), rtol=TOLERANCE)


def test_float16_is_half_as_large_and_near(
    files: dict[str, bytes], predictor: Predictor, photos: Path
) -> None:
    single, half = files["classifier.tflite"], files["classifier_float16.tflite"]
    assert 0.49 < len(half) / len(single) < 0.52
    pixels = checked_photos(photos, SIZE)
    expected = answers(single, pixels)
    difference = compare(answers(half, pixels), expected)
    assert 0 < difference.probability < 0.1
    assert difference.residual < 0.05


@pytest.mark.parametrize("name", ["classifier.tflite", "classifier_float16.tflite"])
def test_the_labels_are_read_back_from_the_file(
    files: dict[str, bytes], predictor: Predictor, name: str
) -> None:
    with zipfile.ZipFile(io.BytesIO(files[name])) as archive:
        assert archive.namelist() == [LABELS_NAME]
        labels = archive.read(LABELS_NAME).decode().split("\n")
    assert labels[1] == "Äpfel 🍏"
    assert labels[2:] == predictor.classifier.card["labels"][2:]


def test_tensors_have_names_and_shapes(files: dict[str, bytes], predictor: Predictor) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=files["classifier.tflite"])
    assert interpreter.get_signature_list() == {
        SIGNATURE: {"inputs": ["photo"], "outputs": ["probabilities", "residual"]}
    }
    count = len(predictor.classifier.card["labels"])
    described = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    assert [(each["name"], each["shape"].tolist(), each["dtype"]) for each in described] == [
        ("photo", [1, SIZE, SIZE, 3], np.float32),
        ("probabilities", [1, count], np.float32),
        ("residual", [1], np.float32),
    ]


def test_the_metadata_is_in_the_model_as_readers_look_for_it(files: dict[str, bytes]) -> None:
    from tensorflow.lite.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(files["classifier.tflite"]))
    [entry] = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    metadata = bytes(model.buffers[entry.buffer].data)
    assert metadata[4:8] == b"M001"
    for text in (b"photo", b"probabilities", b"residual", LABELS_NAME.encode()):
        assert text in metadata


def test_the_python_of_the_readme_gives_the_answer_of_predict(
    files: dict[str, bytes],
    predictor: Predictor,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from fruit_spark.photos.work_items import WorkItem

    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    shutil.copy(sorted(photos.rglob("*.jpg"))[0], tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    [program] = PYTHON.findall(files["README.md"].decode())
    exec(program, {})
    expected = predictor.answer(WorkItem("photo.jpg", "photo.jpg", "", -1))
    said = {"label": expected.label, "no fruit that I know": "no known fruit", "not sure": "not sure"}
    assert capsys.readouterr().out.strip() == said[expected.outcome]


def test_the_readme_says_the_limits_and_leaves_no_gap(files: dict[str, bytes], predictor: Predictor) -> None:
    text, limits = files["README.md"].decode(), predictor.classifier.card["thresholds"]
    assert "$" not in text
    for value in limits.values():
        assert f"{value:.4g}" in text


def test_the_readme_says_of_how_many_photos_its_difference_is(
    predictor: Predictor, model_folder: Path, photos: Path, tmp_path: Path
) -> None:
    for photo in sorted(photos.rglob("*.jpg"))[:3]:
        shutil.copy(photo, tmp_path)
    text = " ".join(export(predictor, model_folder, tmp_path)["README.md"].decode().split())
    assert re.search(
        r"On the 3 photos of its check its probabilities differed by at most \d\.\de-\d\d\.", text
    )
    assert "Those of other photos can differ by more" in text


@pytest.fixture
def arguments(classifier: Classifier, model_file: Path, photos: Path, tmp_path: Path) -> list[str]:
    """Those of the command, whose files come below ``tmp_path / "model"``."""
    result = numpy_classifier.write(classifier, tmp_path / "result")
    options = {"result": result, "model": model_file.parent, "photos": photos, "output": tmp_path / "model"}
    return [f"--{name}={value}" for name, value in options.items()]


def test_a_float16_file_that_is_far_is_left_out_alone(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model"
    output.mkdir()
    (output / "classifier_float16.tflite").write_bytes(b"of an earlier export")
    monkeypatch.setattr(classifier_export, "HALF_TOLERANCE", 1e-5)
    assert classifier_export.main(arguments) == 0
    said = capsys.readouterr().out
    assert re.search(
        r"^classifier_float16\.tflite is left out: it differs by [\de.-]+, where 1e-05 is allowed, and "
        rf"\d+ of {CHECKED} photos get another label\.$",
        said,
        re.MULTILINE,
    )
    assert sorted(each.name for each in output.iterdir()) == ["README.md", "classifier.tflite"]
    assert "float16" not in (output / "README.md").read_text()


def test_labels_that_have_changed_are_counted() -> None:
    there = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
    found = compare(Answers(there[::-1], np.ones(3)), Answers(there, np.ones(3)))
    assert (found.labels, found.photos, found.probability, found.residual) == (2, 3, 0.5, 0.0)


def test_the_worker_of_the_emulated_check_gives_the_same(
    files: dict[str, bytes], photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "classifier.tflite").write_bytes(files["classifier.tflite"])
    chosen = sorted(photos.rglob("*.jpg"))[:3]
    write_answers(tmp_path / "classifier.tflite", tmp_path / "answers.npy", chosen)
    pixels = np.stack([decode_with_opencv(photo.read_bytes(), SIZE) for photo in chosen])
    expected = answers(files["classifier.tflite"], pixels)
    rows = np.concatenate([expected.probabilities, expected.residuals[:, None]], axis=1)
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), rows)


# --- refusals ----------------------------------------------------------------------------------------


def test_numbers_that_are_none_are_refused() -> None:
    good, bad = Answers(np.ones((1, 2)), np.ones(1)), Answers(np.full((1, 2), np.nan), np.ones(1))
    with pytest.raises(StepError, match="not finite"):
        compare(bad, good)
    with pytest.raises(StepError, match="not finite"):
        compare(Answers(good.probabilities, np.array([np.inf])), good)


def test_a_file_that_differs_is_not_written(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classifier_export, "TOLERANCE", 0.0)
    assert classifier_export.main(arguments) == 1
    assert "error: The exported float32 classifier is not the one of the result (" in capsys.readouterr().err
    assert not (tmp_path / "model").exists()


def test_an_artifact_without_the_keras_network_is_refused(
    classifier: Classifier, model_file: Path, photos: Path, tmp_path: Path
) -> None:
    predictor = Predictor(LiteRtEngine(model_file.read_bytes(), SIZE), classifier)
    with pytest.raises(StepError, match=r"mobilenetv2.keras could not be read \(No such file or directory\)"):
        export(predictor, tmp_path, photos)


def test_photos_that_cannot_be_used_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"bad")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(StepError, match=f"No photo of {tmp_path} can be used"):
        checked_photos(tmp_path, SIZE)
    (tmp_path / "good.jpg").write_bytes(photo_files.jpeg(1))
    assert checked_photos(tmp_path, SIZE).shape == (1, SIZE, SIZE, 3)
