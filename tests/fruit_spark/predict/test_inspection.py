"""Promise: the picture has the very pixels that the model gets, and the nearest photos are the nearest."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fruit_contract.layout import LATEST_KEY, RunLayout
from fruit_spark.model.engines import Features, LiteRtEngine
from fruit_spark.photos.decode import Pixels, decode_with_opencv
from fruit_spark.photos.work_items import WorkItem
from fruit_spark.predict.classifier import Classifier
from fruit_spark.predict.inspection import inspect, main
from fruit_spark.predict.near import MOST, nearest
from fruit_spark.predict.result_source import read_result
from fruit_spark.predict.side_by_side import GAP, SIDE, TOP
from fruit_spark.step_errors import RejectedImage, StepError
from fruit_spark.storage.s3 import store_for
from tests.conftest import REPOSITORY
from tests.fruit_spark.conftest import S3_ENVIRONMENT
from tests.fruit_spark.odd_files import make_odd_files
from tests.fruit_spark.storage.test_s3 import create_bucket

SIZE = 96
SCHEMA = pa.schema([("path", pa.string()), ("label", pa.string()), ("features", pa.list_(pa.float32()))])


@pytest.fixture(scope="module")
def latest(
    classifier: Classifier,
    features: Features,
    generated: list[WorkItem],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A folder as ``out/latest`` is: report, PCA as Spark ML writes it, and components in two files."""
    folder = tmp_path_factory.mktemp("latest")
    folder.joinpath("report.json").write_text(json.dumps({"model": classifier.card["model"]}))
    matrix = classifier.layers.components
    pc = {"numRows": matrix.shape[0], "numCols": matrix.shape[1], "isTransposed": False}
    pc |= {"values": matrix.ravel(order="F").tolist()}
    folder.joinpath("pca_model", "data").mkdir(parents=True)
    pq.write_table(pa.table({"pc": [pc]}), folder / "pca_model" / "data" / "part-0.parquet")
    folder.joinpath("pca_output").mkdir()
    components = (features @ matrix).astype(np.float32).tolist()
    rows = [
        (item.uri, Path(item.uri).parent.name, each) for item, each in zip(generated, components, strict=True)
    ]
    for number, part in enumerate((rows[:150], rows[150:])):
        table = pa.table([list(column) for column in zip(*part, strict=True)], schema=SCHEMA)
        pq.write_table(table, folder / "pca_output" / f"part-{number}.parquet")
    return folder


def pixels(picture: Path) -> Pixels:
    return np.asarray(Image.open(picture).convert("RGB"))


def seen_in(picture: Pixels) -> Pixels:
    """One of the equal pixels by which each of the model's is shown, [SIZE, SIZE, 3]."""
    scale = SIDE // SIZE
    left = picture.shape[1] - GAP - SIZE * scale
    return picture[TOP : TOP + SIZE * scale : scale, left : left + SIZE * scale : scale]


def test_a_photo_of_the_result_is_nearest_to_itself(
    latest: Path, model: Path, generated: list[WorkItem], tmp_path: Path
) -> None:
    for item in generated[::40]:
        _, near = inspect(Path(item.uri), str(latest), model, tmp_path)
        assert len(near) == MOST
        assert (near[0].path, near[0].label) == (item.uri, Path(item.uri).parent.name)
        assert near[0].cosine == pytest.approx(1, abs=1e-5)
        assert [each.cosine for each in near] == sorted((each.cosine for each in near), reverse=True)


def test_the_nearest_are_those_of_all_rows_whatever_the_batches() -> None:
    chance = np.random.default_rng(5)
    rows, asked = chance.normal(size=(500, 6)).astype(np.float32), chance.normal(size=6)
    names = [str(row) for row in range(500)]
    table = pa.table([names, names, rows.tolist()], schema=SCHEMA)
    cosines = rows @ asked / np.linalg.norm(rows, axis=1) / np.linalg.norm(asked)
    for size in (7, 500):
        found = nearest(table.to_batches(size), asked, most=20)
        assert [int(each.path) for each in found] == np.argsort(-cosines)[:20].tolist()
        np.testing.assert_allclose([each.cosine for each in found], np.sort(cosines)[::-1][:20], atol=1e-6)


def test_the_picture_shows_the_file_and_the_very_pixels_of_the_model(
    latest: Path, model: Path, tmp_path: Path, engine: LiteRtEngine
) -> None:
    # Lying in the file, upright by its EXIF.
    stored = np.zeros((120, 200, 3), np.uint8)
    stored[:, :100], stored[:, 100:] = (200, 30, 30), (30, 30, 200)
    sink, notes = io.BytesIO(), Image.Exif()
    notes[0x0112] = 6
    Image.fromarray(stored).save(sink, "JPEG", quality=95, exif=notes)
    photo = tmp_path / "lying.jpg"
    photo.write_bytes(sink.getvalue())
    picture, _ = inspect(photo, str(latest), model, tmp_path / "inspect")
    assert picture == tmp_path / "inspect" / "lying.jpg.png"
    shown = pixels(picture)
    np.testing.assert_array_equal(seen_in(shown), engine.decode(sink.getvalue(), SIZE))
    np.testing.assert_array_equal(seen_in(shown), decode_with_opencv(sink.getvalue(), SIZE))
    # Red is left in the file, and on top of what the model sees.
    file = shown[TOP : TOP + 120, GAP : GAP + 200]
    assert file[60, 20, 0] > 150 > file[60, 180, 0]
    seen = seen_in(shown)
    assert seen[10, 48, 0] > 150 > seen[86, 48, 0]


def test_of_a_bucket_the_current_result_is_compared(
    latest: Path, classifier: Classifier, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import obstore

    for name, value in (S3_ENVIRONMENT | {"AWS_ENDPOINT_URL": s3_endpoint}).items():
        monkeypatch.setenv(name, value)
    layout = RunLayout("fruits-inspect-tests", "run-1")
    create_bucket(s3_endpoint, layout.bucket)
    store = store_for(layout.bucket)
    with pytest.raises(StepError, match=r"has no result, Results/latest.json is not there"):
        read_result(f"s3://{layout.bucket}")
    for name, prefix in (("pca_model", layout.pca_model), ("pca_output", layout.pca_output)):
        for file in latest.joinpath(name).rglob("*.parquet"):
            obstore.put(store, f"{prefix}{file.relative_to(latest / name)}", file.read_bytes())
    pointer = {"model": classifier.card["model"], "pca_model": layout.uri(layout.pca_model)}
    pointer |= {"pca_output": layout.uri(layout.pca_output)}
    obstore.put(store, LATEST_KEY, json.dumps(pointer).encode())
    asked = np.ones(classifier.card["components"])
    found = read_result(f"s3://{layout.bucket}").nearest_to(asked)
    assert found == read_result(str(latest)).nearest_to(asked)
    with pytest.raises(StepError, match="is more than a bucket: name s3://fruits-inspect-tests"):
        read_result(f"s3://{layout.bucket}/Results")


def test_a_photo_that_a_run_rejects_is_rejected(
    latest: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "empty.jpg"
    photo.touch()
    with pytest.raises(RejectedImage, match="empty"):
        inspect(photo, str(latest), model, tmp_path / "inspect")
    assert main([str(photo), "--result", str(latest), "--model", str(model)]) == 1
    assert capsys.readouterr().out.startswith(f"{photo}: rejected: empty")
    assert not (tmp_path / "inspect").exists()


def test_no_picture_is_written_over_a_photo_or_over_that_of_another(
    latest: Path, model: Path, generated: list[WorkItem], tmp_path: Path
) -> None:
    """Also not where the photo's own name leads to the picture's place, or the other way round."""
    content = Path(generated[0].uri).read_bytes()
    for name in ("base.jpg", "base.png"):
        (tmp_path / name).write_bytes(content)
    written = {inspect(tmp_path / name, str(latest), model, tmp_path)[0] for name in ("base.jpg", "base.png")}
    assert written == {tmp_path / "base.jpg.png", tmp_path / "base.png.png"}
    for link, kept in (("link.jpg", "link.jpg.png"), ("one.jpg.png", "one.jpg")):
        (tmp_path / kept).write_bytes(content)
        (tmp_path / link).symlink_to(kept)
        with pytest.raises(StepError, match=r"(link|one)\.jpg\.png is the photo, and would be written over"):
            inspect(tmp_path / link.removesuffix(".png"), str(latest), model, tmp_path)
        assert (tmp_path / kept).read_bytes() == content
    assert {(tmp_path / name).read_bytes() for name in ("base.jpg", "base.png")} == {content}


@pytest.mark.parametrize(
    ("out", "name", "reason"),
    [
        ("file/inspect", "a.jpg", "Not a directory"),
        ("inspect", "a.jpg", "Is a directory"),
        ("inspect", f"{'a' * 251}.jpg", "File name too long"),
    ],
)
def test_a_picture_that_cannot_be_written_is_said_with_its_place(
    latest: Path, model: Path, generated: list[WorkItem], tmp_path: Path, out: str, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "inspect" / "a.jpg.png").mkdir(parents=True)
    shutil.copy(generated[0].uri, tmp_path / name)
    with pytest.raises(StepError) as refused:
        inspect(tmp_path / name, str(latest), model, tmp_path / out)
    assert str(refused.value) == (
        f"{tmp_path / out / name}.png could not be written ({reason}): free the place, or rename the photo."
    )


def test_what_is_no_file_is_rejected(
    latest: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = make_odd_files(tmp_path)
    del reasons["dangling.jpg"]  # no photo is there
    for name, reason in reasons.items():
        assert main([str(tmp_path / name), "--result", str(latest), "--model", str(model)]) == 1
        assert capsys.readouterr().out == f"{tmp_path / name}: rejected: {reason}\n"


def test_a_name_of_odd_characters_is_said_in_one_line(
    latest: Path, model: Path, generated: list[WorkItem], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(generated[0].uri, "two\n\x1b[31mlines.jpg")
    command = [sys.executable, "-m", "inspect_photo", "two\n\x1b[31mlines.jpg"]
    options = ["--result", str(latest), "--model", str(model)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    said, *near = done.stdout.splitlines()
    name = r"two\n\x1b[31mlines.jpg"
    assert said.startswith(f"{name}: out/inspect/{name}.png shows the photo")
    assert len(near) == MOST


def test_rows_of_another_pca_are_refused(latest: Path) -> None:
    with pytest.raises(StepError, match="its rows have 12 components, and its PCA has 3"):
        read_result(str(latest)).nearest_to(np.ones(3))


def test_the_command_lists_the_nearest_photos(
    latest: Path, model: Path, generated: list[WorkItem], tmp_path: Path
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "inspect_photo",
            generated[0].uri,
            "--result",
            str(latest),
            "--model",
            str(model),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said, *near = done.stdout.splitlines()
    assert f"out/inspect/{Path(generated[0].uri).name}.png shows the photo" in said
    assert near[0] == f" 1.000  {Path(generated[0].uri).parent.name}  {generated[0].uri}"
    assert len(near) == MOST
    assert list(tmp_path.glob("out/inspect/*.png"))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "error: PHOTO is missing: name a photo."),
        ("none.jpg", "error: There is no photo 'none.jpg': name one that is there."),
        (".", "error: There is no photo '.': name one that is there."),
        ("a" * 300, f"error: There is no photo '{'a' * 300}': name one that is there."),
        ("--result= kiwi.jpg", "error: argument --result: it is empty: name a file or a folder."),
        ("kiwi.jpg", "error: out/latest holds no result, out/latest/report.json is not there: "),
        ("kiwi.jpg --result whole", "error: whole/report.json is of a run that has no result: "),
        ("kiwi.jpg --result s3://", "error: 's3://' is not an S3 address: "),
    ],
)
def test_a_wrong_command_is_one_sentence(arguments: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "kiwi.jpg").write_bytes(b"no photo")
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / "report.json").write_text('{"model": null}')
    command = [sys.executable, "-m", "inspect_photo", *arguments.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(sentence)
    assert done.stderr.count("\n") == 1


def test_a_result_without_its_pca_is_refused(latest: Path, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(latest.joinpath("report.json").read_text())
    with pytest.raises(StepError, match=r"pca_model could not be read \(.*\): start a run"):
        read_result(str(tmp_path))


def test_the_command_starts_no_spark(
    latest: Path, model: Path, generated: list[WorkItem], tmp_path: Path
) -> None:
    program = (
        "import sys; from fruit_spark.predict.inspection import main; "
        "code = main(sys.argv[1:]); print(*{name.partition('.')[0] for name in sys.modules}); sys.exit(code)"
    )
    arguments = [generated[0].uri, "--result", str(latest), "--model", str(model)]
    environment = {"PYTHONPATH": f"{REPOSITORY / 'spark'}:{REPOSITORY / 'plugins'}"}
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"pyspark", "tensorflow", "keras"} & set(done.stdout.splitlines()[-1].split())
