"""Promise: one photo gets the answer that it would get in a run, and a wrong command one sentence."""

import json
import shutil
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
from tests.fruit_spark.odd_files import NO_RIGHTS, NOT_REGULAR, make_odd_files

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


def test_what_is_no_file_is_rejected_and_the_others_are_answered(
    result: Path, model: Path, generated: list[WorkItem], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(generated[0].uri, tmp_path / "a.jpg")
    reasons = make_odd_files(tmp_path)
    named = [str(tmp_path), str(tmp_path / "pipe.jpg"), str(tmp_path / "circle.jpg"), "/dev/zero"]
    assert main([*named, "--result", str(result), "--model", str(model), "--json"]) == 1
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    photo, *others = [(Path(each["photo"]).name, each["reason"]) for each in found]
    assert photo[0] == "a.jpg"
    assert found[0]["outcome"] != "rejected"
    assert dict(others[:-3]) == reasons
    expected = [("pipe.jpg", reasons["pipe.jpg"]), ("circle.jpg", reasons["circle.jpg"])]
    assert others[-3:] == [*expected, ("zero", NOT_REGULAR)]


def test_what_cannot_be_read_is_rejected_and_the_others_are_answered(
    result: Path, model: Path, generated: list[WorkItem], tmp_path: Path
) -> None:
    names = ["closed.jpg", "folder/1.jpg", "list/1.jpg", "open.jpg"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(generated[0].uri, tmp_path / name)
    modes = {"closed.jpg": 0, "folder": 0, "list": 0o600}
    for name, mode in modes.items():
        (tmp_path / name).chmod(mode)
    options = ["--result", str(result), "--model", str(model), "--json"]
    command = [*NO_RIGHTS, sys.executable, "-m", "predict", ".", "list/1.jpg", *options]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    finally:
        for name in modes:
            (tmp_path / name).chmod(0o700)
    assert done.returncode == 1, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert {each["photo"].removeprefix(f"{tmp_path}/"): each["reason"] for each in found[:-2]} == {
        "folder": "unreadable folder: Permission denied",
        "closed.jpg": "unreadable: Permission denied",
        "open.jpg": found[2]["reason"],
    }
    assert found[2]["outcome"] != "rejected"
    both = [(each["photo"], each["reason"]) for each in found[-2:]]
    denied = "unreadable: Permission denied"
    assert both == [(str(tmp_path / "list" / "1.jpg"), denied), ("list/1.jpg", denied)]


def test_an_output_that_takes_no_more_is_one_sentence(
    result: Path, model: Path, generated: list[WorkItem]
) -> None:
    named = [item.uri for item in generated[:3]]
    command = [sys.executable, "-m", "predict", *named, "--result", str(result), "--model", str(model)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    # LiteRT's own greeting is the other line.
    assert [line for line in done.stderr.splitlines() if not line.startswith("INFO: ")] == [
        "error: The answer could not be written (No space left on device): free the place it goes to."
    ]


@pytest.mark.parametrize("command", ["predict", "inspect_photo"])
def test_an_output_that_is_closed_is_one_sentence(command: str) -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", command, "a.jpg"]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: The output is closed, and the answer has no place to go to: open it.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["two\nlines"], r"error: There is no photo or folder 'two\nlines': name one that is there."),
        ([""], "error: argument PHOTO: it is empty: name a file or a folder."),
        (["README.md", ""], "error: argument PHOTO: it is empty: name a file or a folder."),
        (["README.md", "--result", ""], "error: argument --result: it is empty: name a file or a folder."),
        (["README.md", "--model="], "error: argument --model: it is empty: name a file or a folder."),
        (["a" * 300], f"error: There is no photo or folder '{'a' * 300}': name one that is there."),
        (
            ["README.md/a.jpg"],
            "error: There is no photo or folder 'README.md/a.jpg': name one that is there.",
        ),
        (
            ["README.md", "--result", "a" * 300],
            f"error: {'a' * 300} could not be read (File name too long): name another.",
        ),
        (["README.md", "--re\nsult"], r"error: unrecognized arguments: --re\nsult"),
    ],
)
def test_an_odd_path_is_one_sentence(arguments: list[str], sentence: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    command = [sys.executable, "-m", "predict", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"{sentence}\n")


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
