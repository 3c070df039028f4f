"""Promise: found = processed + rejected, every row once, the same when repeated, one load per worker."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fruit_contract.layout import FINISHED_NAME
from fruit_contract.manifest import LIVE, REJECTED
from fruit_contract.model_files import PRECISIONS
from fruit_contract.report_schema import FeaturizeMetrics
from fruit_contract.work_list import WORK_LIST_COLUMNS
from fruit_spark.features.spark_image_reader import NOT_DELIVERED
from fruit_spark.model import model_broadcast
from fruit_spark.model.model_broadcast import broadcast_model
from fruit_spark.step_errors import StepError
from fruit_spark.steps import featurize_job as featurize_module
from fruit_spark.steps.featurize_job import FeaturizeSettings, featurize
from tests.fruit_spark import photo_files
from tests.fruit_spark.odd_files import make_odd_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ODD_NAMES = ["a b.jpg", "a+b.jpg", "a%20b.jpg", "100%.jpg", "a#b.jpg", "é.jpg", "new\nline.jpg", "[1]{2}.jpg"]


def write_work_list(file: Path, rows: list[tuple[str, str, str, int]]) -> str:
    schema = pa.schema([pa.field(name, pa.type_for_alias(kind)) for name, kind in WORK_LIST_COLUMNS])
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), file)
    return str(file)


def local_work_list(folder: Path, files: list[Path]) -> str:
    return write_work_list(folder / "images.parquet", [(str(f), str(f), "", f.stat().st_size) for f in files])


@pytest.fixture
def settings(tmp_path: Path, model_folder: Path) -> FeaturizeSettings:
    return FeaturizeSettings(
        work_list=None,
        input=None,
        features=str(tmp_path / "features"),
        rejected=str(tmp_path / "rejected"),
        metrics=str(tmp_path / "metrics" / "featurize.json"),
        model=str(model_folder),
        image_size=96,
        batch_size=4,
        engine="litert",
        precision="float32",
        reader="fast",
        partitions=None,
        time_limit=None,
    )


def rows_of(settings: FeaturizeSettings) -> dict[str, dict[str, Any]]:
    rows = pq.read_table(settings.features).to_pylist()
    by_path = {row["path"]: row for row in rows}
    assert len(by_path) == len(rows), "a path stands in more than one row"
    return by_path


@pytest.fixture
def every_kind(tmp_path: Path) -> Path:
    """Every kind of image, good and bad, and every odd name."""
    kinds: dict[str, Callable[[], bytes]] = photo_files.CONVERTED | {
        k: make for k, (make, _) in photo_files.REJECTED.items()
    }
    for kind, make in kinds.items():
        file = tmp_path / "photos" / "Good" / f"{kind}.jpg" if kind in photo_files.CONVERTED else None
        file = file or tmp_path / "photos" / "Bad" / f"{kind}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(make())
    for number, name in enumerate(ODD_NAMES):
        file = tmp_path / "photos" / "Odd # + % é" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo_files.jpeg(100 + number))
    return tmp_path / "photos"


def test_every_kind_of_image_is_converted_or_rejected_with_its_reason(
    spark: "SparkSession", settings: FeaturizeSettings, every_kind: Path, tmp_path: Path
) -> None:
    files = sorted(path for path in every_kind.rglob("*.jpg"))
    gone = tmp_path / "photos" / "Bad" / "gone.jpg"
    gone_row = (str(gone), str(gone), "", 10)
    work_list = write_work_list(
        tmp_path / "images.parquet", [(str(f), str(f), "", f.stat().st_size) for f in files] + [gone_row]
    )
    # By its fingerprint a model of its own: no other test has it loaded in the same Python workers.
    content = (Path(settings.model) / "mobilenetv2.tflite").read_bytes()
    own = tmp_path / "own.tflite"
    own.write_bytes(content + bytes(16))
    settings = dataclasses.replace(settings, work_list=work_list, partitions=6, model=str(own))

    metrics = featurize(spark, settings)

    rows = rows_of(settings)
    assert set(rows) == {*map(str, files), str(gone)}
    reasons = {Path(path).stem: row["reason"] for path, row in rows.items() if row["reason"] is not None}
    assert set(reasons) == {*photo_files.REJECTED, "gone"}
    for kind, (_, reason) in photo_files.REJECTED.items():
        assert reason in reasons[kind]
    for row in rows.values():
        assert (row["features"] is None) == (row["reason"] is not None)
        assert row["label"] == Path(row["path"]).parent.name
        assert row["features"] is None or (
            len(row["features"]) == 1280 and np.isfinite(row["features"]).all()
        )
    good = len(photo_files.CONVERTED) + len(ODD_NAMES)
    assert (metrics["found"], metrics["processed"], metrics["rejected"]) == (len(rows), good, len(reasons))
    assert json.loads(Path(settings.metrics).read_text()) == metrics
    assert set(metrics) == FeaturizeMetrics.__required_keys__
    rejected = pq.read_table(settings.rejected).to_pylist()
    assert {Path(row["path"]).stem: row["reason"] for row in rejected} == reasons
    finished = pq.read_table(Path(settings.features, FINISHED_NAME)).to_pylist()
    assert {row["key"]: row["reason"] for row in finished} == {
        path: row["reason"] for path, row in rows.items()
    }
    assert {(row["state"], row["source"]) for row in finished} == {(LIVE, "features"), (REJECTED, "features")}
    # Six tasks, two cores: one load per Python worker and no more.
    assert 1 <= metrics["model_loads"] <= 2
    assert 0 < metrics["startup_seconds"] < metrics["seconds"]
    assert 0 < metrics["task_seconds"] <= metrics["cores"] * metrics["seconds"]
    # TensorFlow is installed here, too.
    assert {"ai-edge-litert", "tensorflow"} & set(metrics["versions"]) == {"ai-edge-litert"}

    # The features of a file are its own, whatever the batch it was in.
    from fruit_spark.model.engines import LiteRtEngine
    from fruit_spark.photos.decode import decode_with_opencv

    engine = LiteRtEngine(content, 96)
    for file in files[::3]:
        if rows[str(file)]["features"] is not None:
            alone = engine.predict(decode_with_opencv(file.read_bytes(), 96)[None])[0]
            np.testing.assert_allclose(rows[str(file)]["features"], alone, atol=1e-6)

    # Repeated: the same rows, none twice.
    again = featurize(spark, settings)
    assert (again["found"], again["processed"], again["rejected"]) == (len(rows), good, len(reasons))
    assert rows_of(settings) == rows


def test_spark_s_own_reader_agrees_with_the_fast_one(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / "Odd # + % é [x]"
    folder.mkdir(parents=True)
    names = [name for name in ODD_NAMES if "\n" not in name]
    for number, name in enumerate(names):
        # PNG: Java and OpenCV decode it to the same pixels; two JPEG decoders may differ by one.
        (folder / name).write_bytes(photo_files.encode(Image.fromarray(photo_files.fruit(number)), "PNG"))
    (folder / "grey.jpg").write_bytes(
        photo_files.encode(Image.fromarray(photo_files.fruit(2)).convert("L"), "PNG")
    )
    (folder / "rgba.jpg").write_bytes(photo_files.rgba())
    (folder / "text.jpg").write_bytes(b"not a photo")
    (folder / "_hidden.jpg").write_bytes(photo_files.jpeg())
    settings = dataclasses.replace(settings, work_list=local_work_list(tmp_path, sorted(folder.iterdir())))

    fast_metrics = featurize(spark, settings)
    fast = rows_of(settings)
    metrics = featurize(spark, dataclasses.replace(settings, reader="spark-image"))
    own = rows_of(settings)

    assert set(own) == set(fast)
    assert metrics["found"] == fast_metrics["found"] == metrics["processed"] + metrics["rejected"]
    assert fast_metrics["rejected"] == 1
    # What Spark's source passes over silently still has its row.
    assert {Path(path).name for path, row in own.items() if row["reason"]} == {"text.jpg", "_hidden.jpg"}
    for path, row in own.items():
        assert row["label"] == fast[path]["label"]
        if row["features"] is not None:
            np.testing.assert_allclose(row["features"], fast[path]["features"], atol=1e-4)


@pytest.mark.parametrize("reader", ["fast", "spark-image"])
def test_what_is_no_file_in_a_listed_folder_is_rejected(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path, reader: str
) -> None:
    folder = tmp_path / "photos" / "Kiwi"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(photo_files.jpeg(1, "Kiwi"))
    odd = make_odd_files(folder)
    settings = dataclasses.replace(settings, input=str(tmp_path / "photos"), partitions=1, reader=reader)
    featurize(spark, settings)
    reasons = {Path(path).name: row["reason"] for path, row in rows_of(settings).items()}
    if reader == "spark-image":
        odd = dict.fromkeys(odd, NOT_DELIVERED)
    assert reasons == {"1.jpg": None} | odd


@pytest.mark.keras
def test_the_reference_engine_runs_as_a_step(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path
) -> None:
    folder = tmp_path / "photos" / "Kiwi"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(photo_files.jpeg(number, "Kiwi"))
    settings = dataclasses.replace(settings, input=str(tmp_path / "photos"), partitions=1)
    featurize(spark, settings)
    fast = rows_of(settings)
    metrics = featurize(spark, dataclasses.replace(settings, engine="keras"))
    assert metrics["model"]["engine"] == "keras"
    for path, row in rows_of(settings).items():
        one, other = np.array(row["features"]), np.array(fast[path]["features"])
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) >= 0.999


def test_a_run_of_rejected_images_only_leaves_its_rows_and_fails(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path
) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(3)]
    for file in files:
        file.write_bytes(b"no photo")
    settings = dataclasses.replace(settings, work_list=local_work_list(tmp_path, files))
    with pytest.raises(StepError, match="All 3 images were rejected"):
        featurize(spark, settings)
    assert pq.read_table(settings.rejected).num_rows == 3
    assert json.loads(Path(settings.metrics).read_text())["processed"] == 0


def test_an_empty_work_list_and_a_missing_one_are_said_so(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path
) -> None:
    with pytest.raises(StepError, match="has no images"):
        featurize(
            spark, dataclasses.replace(settings, work_list=write_work_list(tmp_path / "none.parquet", []))
        )
    with pytest.raises(StepError, match="There is no work list"):
        featurize(spark, dataclasses.replace(settings, work_list=str(tmp_path / "missing.parquet")))


def test_a_model_too_large_or_of_the_wrong_shape_stops_before_any_image_is_read(
    spark: "SparkSession", settings: FeaturizeSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = dataclasses.replace(settings, work_list=str(tmp_path / "is read later"))
    monkeypatch.setattr(model_broadcast, "BROADCAST_LIMIT", 1000)
    with pytest.raises(StepError, match=r"less than 1,000"):
        featurize(spark, settings)
    monkeypatch.undo()
    (tmp_path / "broken.tflite").write_bytes(b"broken")
    with pytest.raises(StepError, match="cannot be used by LiteRT"):
        featurize(spark, dataclasses.replace(settings, model=str(tmp_path / "broken.tflite")))
    with pytest.raises(StepError, match="There is no model"):
        featurize(spark, dataclasses.replace(settings, model=str(tmp_path / "none.tflite")))
    with pytest.raises(StepError, match="--engine litert"):
        featurize(spark, dataclasses.replace(settings, model=str(tmp_path / "photo.jpg")))
    one_file = str(Path(settings.model) / "mobilenetv2.tflite")
    with pytest.raises(StepError, match="has float32 weights, and --precision float16 was asked"):
        featurize(spark, dataclasses.replace(settings, model=one_file, precision="float16"))
    with pytest.raises(StepError, match="keras engine has no float16 model"):
        featurize(spark, dataclasses.replace(settings, engine="keras", precision="float16"))


def test_float16_sends_half_as_much_and_the_report_names_it(
    spark: "SparkSession", settings: FeaturizeSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos" / "Kiwi"
    folder.mkdir(parents=True)
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(photo_files.jpeg(number, "Kiwi"))
    sent: dict[str, int] = {}
    facts, rows = {}, {}
    for precision in PRECISIONS:

        def counted(*arguments: Any, precision: str = precision) -> model_broadcast.BroadcastModel:
            model = broadcast_model(*arguments)
            sent[precision] = len(model.packed.value)
            return model

        monkeypatch.setattr(featurize_module, "broadcast_model", counted)
        own = dataclasses.replace(
            settings,
            input=str(tmp_path / "photos"),
            partitions=1,
            precision=precision,
            features=str(tmp_path / precision),
        )
        facts[precision] = featurize(spark, own)["model"]
        rows[precision] = rows_of(own)
        assert json.loads(Path(own.metrics).read_text())["model"]["precision"] == precision

    assert 0.45 < sent["float16"] / sent["float32"] < 0.55
    assert facts["float16"]["fingerprint"] != facts["float32"]["fingerprint"]
    for path, row in rows["float16"].items():
        one, other = np.array(row["features"]), np.array(rows["float32"][path]["features"])
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) >= 0.999
        assert (one != other).any(), "float16 gave the features of float32"


def test_the_broadcast_is_compressed_and_fingerprinted(spark: "SparkSession", model_folder: Path) -> None:
    content = (model_folder / "mobilenetv2.tflite").read_bytes()
    sent = broadcast_model(spark.sparkContext, content, "litert", 96)
    assert sent.packed.value.startswith(b"\x1f\x8b")
    assert len(sent.packed.value) < len(content)
    assert len(sent.fingerprint) == 64
