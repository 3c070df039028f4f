"""Artifacts are uploaded once, under keys that only their content decides."""

import json
import tarfile
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from fruit_contract.layout import RunLayout
from fruit_contract.model_files import ENGINE_PACKAGES, FACTS_FILE, MODEL_FILES, Engine
from fruit_pipeline.cluster import artifacts, step_requests
from fruit_pipeline.settings.deployment import Deployment
from fruit_pipeline.settings.parameters import RunParameters
from tests.conftest import REPOSITORY, modules_of_the_steps
from tests.fruit_pipeline.conftest import BUCKET, FEATURES, MODEL, planned


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Any]:
    model = tmp_path / "model"
    model.mkdir()
    for name in (FACTS_FILE, *MODEL_FILES.values()):
        (model / name).write_bytes(name.encode())
    runtime = tmp_path / "runtime.tar.gz"
    runtime.write_bytes(b"runtime")
    python = tmp_path / "python.tar.gz"
    python.write_bytes(b"python")
    return {
        "code_dir": REPOSITORY / "spark",
        "model_dir": model,
        "engine": "litert",
        "model_file": "mobilenetv2.tflite",
        "runtime_archive": runtime,
        "python_archive": python,
    }


def publish(s3: Any, built: dict[str, Any]) -> artifacts.ArtifactUris:
    return artifacts.publish(s3, BUCKET, artifacts.LocalArtifacts(**built))


def keys(s3: Any) -> dict[str, Any]:
    return {
        entry["Key"]: entry["LastModified"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    }


def test_publishing_twice_uploads_once(s3: Any, built: dict[str, Any]) -> None:
    first = publish(s3, built)
    versions = len(s3.list_object_versions(Bucket=BUCKET)["Versions"])
    assert publish(s3, built) == first
    assert len(s3.list_object_versions(Bucket=BUCKET)["Versions"]) == versions
    for uri in vars(first).values():
        assert any(key.startswith(uri.removeprefix(f"s3://{BUCKET}/")) for key in keys(s3))


def test_another_model_gets_another_key(s3: Any, built: dict[str, Any]) -> None:
    first = publish(s3, built)
    (built["model_dir"] / "mobilenetv2.tflite").write_bytes(b"other weights")
    second = publish(s3, built)
    assert second.model != first.model
    assert (second.code, second.runtime) == (first.code, first.runtime)


def test_the_model_of_one_precision_travels_alone_under_its_own_key(s3: Any, built: dict[str, Any]) -> None:
    single = publish(s3, built)
    half = publish(s3, {**built, "model_file": "mobilenetv2_float16.tflite"})
    assert half.model != single.model
    prefix = half.model.removeprefix(f"s3://{BUCKET}/")
    assert {key.removeprefix(prefix) for key in keys(s3) if key.startswith(prefix)} == {
        "model.json",
        "mobilenetv2_float16.tflite",
    }


def test_the_code_archive_holds_both_packages_and_is_reproducible() -> None:
    content = artifacts.code_archive(REPOSITORY / "spark")
    assert content == artifacts.code_archive(REPOSITORY / "spark")
    assert set(zipfile.ZipFile(BytesIO(content)).namelist()) == modules_of_the_steps()


def test_a_missing_artifact_is_named(s3: Any, built: dict[str, Any]) -> None:
    (built["model_dir"] / "mobilenetv2.tflite").unlink()
    with pytest.raises(
        artifacts.MissingArtifactError, match=r"mobilenetv2.tflite is missing: build it with `make setup`"
    ):
        publish(s3, built)


def test_a_missing_runtime_names_the_command_that_builds_it_for_its_processor(
    s3: Any, built: dict[str, Any], tmp_path: Path
) -> None:
    built["runtime_archive"] = tmp_path / "runtime-aarch64.tar.gz"
    with pytest.raises(
        artifacts.MissingArtifactError, match=r"artifacts\.runtime --output .* --platform aarch64`"
    ):
        publish(s3, built)


def test_a_python_travels_only_where_the_nodes_have_none(s3: Any, built: dict[str, Any]) -> None:
    shipped = publish(s3, built)
    without = publish(s3, {**built, "python_archive": None})
    assert shipped.python is not None
    assert shipped.python.endswith("/python.tar.gz")
    assert without == replace(shipped, python=None)
    built["python_archive"].unlink()
    with pytest.raises(
        artifacts.MissingArtifactError, match=r"python.tar.gz is missing: build it with `make interpreter`"
    ):
        publish(s3, built)


def test_the_facts_of_a_model_are_those_that_the_featurize_step_reports(tmp_path: Path) -> None:
    (tmp_path / FACTS_FILE).write_text(json.dumps({"name": MODEL["name"], "weights": MODEL["weights"]}))
    assert artifacts.model_facts(tmp_path, FEATURES) == MODEL
    (tmp_path / FACTS_FILE).write_text("{}")
    found = artifacts.model_facts(tmp_path, FEATURES)
    file = MODEL_FILES["litert", "float32"]
    assert (found["name"], found["weights"]) == (file, f"given by the user ({file})")
    with pytest.raises(artifacts.MissingArtifactError, match=r"model\.json is missing: build it with `make"):
        artifacts.model_facts(tmp_path / "nowhere", FEATURES)


def values(uris: artifacts.ArtifactUris, **changes: Any) -> dict[str, Any]:
    return step_requests.notebook_values(RunParameters(bucket=BUCKET, **changes), uris)


def put_notebook(s3: Any, built: dict[str, Any]) -> str:
    uri = artifacts.publish_notebook(s3, BUCKET, Deployment().notebooks_dir, values(publish(s3, built)))
    return uri.removeprefix(f"s3://{BUCKET}/")


def test_the_shipped_notebook_asks_for_the_code_and_runtime_of_the_steps(
    s3: Any, built: dict[str, Any]
) -> None:
    uris = publish(s3, {**built, "python_archive": None})
    key = put_notebook(s3, {**built, "python_archive": None})
    assert key.startswith("jupyter/jovyan/cluster-")
    notebook = json.loads(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    code = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    first, _, body = code[0].partition("\n")
    session = json.loads(body)
    assert first == "%%configure -f"
    assert (session["pyFiles"], session["archives"]) == ([uris.code], [f"{uris.runtime}#runtime"])
    step = step_requests.train_step(
        RunParameters(bucket=BUCKET), RunLayout(BUCKET, "r"), uris, planned(), MODEL
    )
    assert step is not None
    submitted = step["HadoopJarStep"]["Args"]
    assert len(session["conf"]) == 7
    for setting, value in session["conf"].items():
        assert f"{setting}={value}" in submitted
    assert f'BUCKET, PREFIX = "{BUCKET}", "Test/"' in code[1]
    assert f'MODEL, ENGINE, PRECISION, IMAGE_SIZE = "{uris.model}", "litert", "float32", 224' in code[1]
    assert not [text for text in code if '"$' in text]


def test_a_notebook_that_somebody_saved_is_never_replaced(s3: Any, built: dict[str, Any]) -> None:
    key = put_notebook(s3, built)
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"mine")
    assert put_notebook(s3, built) == key
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"mine"


def test_another_version_goes_beside_it_and_one_that_was_deleted_comes_back(
    s3: Any, built: dict[str, Any]
) -> None:
    first = put_notebook(s3, built)
    (built["model_dir"] / "mobilenetv2.tflite").write_bytes(b"other weights")
    second = put_notebook(s3, built)
    assert second != first
    assert {first, second} <= keys(s3).keys()
    s3.delete_object(Bucket=BUCKET, Key=second)
    assert put_notebook(s3, built) == second
    assert second in keys(s3)


def test_a_notebook_that_is_not_there_is_named(s3: Any, built: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(
        artifacts.MissingArtifactError, match=r"cluster\.ipynb is missing: .*FRUITS_NOTEBOOKS_DIR"
    ):
        artifacts.publish_notebook(s3, BUCKET, tmp_path, values(publish(s3, built)))


def runtime_of(*packages: str) -> bytes:
    content = BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for package in packages:
            archive.addfile(tarfile.TarInfo(f"{package}/__init__.py"))
    return content.getvalue()


def test_an_engine_that_the_runtime_lacks_is_refused_before_anything_is_uploaded(
    s3: Any, built: dict[str, Any]
) -> None:
    keras = {**built, "engine": "keras", "model_file": "mobilenetv2.keras"}
    # Its name begins that of another package, which is not enough.
    built["runtime_archive"].write_bytes(runtime_of("ai_edge_litert", "tensorflow_hub"))
    with pytest.raises(
        artifacts.MissingEngineError,
        match=r"engine is keras, and runtime.tar.gz lacks tensorflow: use engine litert, or add",
    ):
        publish(s3, keras)
    assert not keys(s3)
    built["runtime_archive"].write_bytes(runtime_of("ai_edge_litert", "tensorflow"))
    assert keras["model_file"] in " ".join(keys(s3) if publish(s3, keras) else [])


@pytest.mark.parametrize("engine", ENGINE_PACKAGES)
def test_the_package_of_an_engine_is_what_the_steps_import(engine: Engine) -> None:
    source = (REPOSITORY / "spark" / "fruit_spark" / "model" / "engines.py").read_text()
    assert f"import {ENGINE_PACKAGES[engine]}" in source or f"from {ENGINE_PACKAGES[engine]}." in source
