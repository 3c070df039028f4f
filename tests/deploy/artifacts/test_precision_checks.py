"""Promise: what is measured of precision is what it is said to be, and a check that fails says so."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from artifacts import arm64_check, quality
from artifacts.arm64_check import CheckFailedError, compare
from artifacts.arm64_worker import modules, steps
from evidence.marked_text import BEGIN, END
from fruit_contract.model_files import IMAGE_SIZES, PRECISIONS
from tests.fruit_spark import photo_files


def test_the_nearest_other_photo_is_compared_never_the_photo_itself() -> None:
    vectors = np.array([[1, 0], [2, 0.1], [0, 1], [0.1, 2], [1, 1.1]])
    agrees = quality.nearest_agrees(vectors, ["Kiwi", "Kiwi", "Plum", "Plum", "Kiwi"])
    assert agrees.tolist() == [True, True, True, True, False]


def test_components_keep_the_variance_that_numpy_says() -> None:
    chance = np.random.default_rng(0)
    features = (chance.normal(size=(50, 8)) * np.arange(1, 9)).astype(np.float32)
    components, ratio = quality.principal_components(features, 3)
    kept = (features.astype(np.float64) @ components).var(axis=0, ddof=1).sum()
    assert ratio.sum() == pytest.approx(1)
    assert ratio[:3].sum() == pytest.approx(kept / features.astype(np.float64).var(axis=0, ddof=1).sum())


def test_every_mode_is_measured_and_written_between_the_marks(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quality, "COMPONENTS", 4)
    for label in ("Kiwi", "Plum"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for number in range(4):
            (tmp_path / "photos" / label / f"{number}.jpg").write_bytes(photo_files.jpeg(number, label))
    page = tmp_path / "precision.md"
    page.write_text(f"before\n{BEGIN}old\n{END}after\n")
    arguments = ["--photos", str(tmp_path / "photos"), "--model", str(model_folder), "--docs", str(tmp_path)]
    assert quality.main(arguments) == 0
    record = json.loads((tmp_path / "precision.json").read_text())
    assert record["photos"] == "8 real photos of 2 labels"
    assert len(record["modes"]) == len(PRECISIONS) * len(IMAGE_SIZES)
    half = record["modes"][1]
    assert (half["precision"], half["image_size"]) == ("float16", 224)
    assert 0.999 < half["cosine_lowest"] < 1
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("after\n")
    assert "| float16 | 96 |" in page.read_text()
    assert "old" not in page.read_text()


def test_too_few_photos_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["--photos", str(tmp_path), "--docs", str(tmp_path)]) == 1
    assert "has 0 photos" in capsys.readouterr().err


def test_without_the_tool_the_check_says_that_it_was_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ARM64_CHECK", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(arm64_check, "BESIDE_THE_REPOSITORY", tmp_path / "none")
    assert arm64_check.main([]) == 0
    assert "SKIPPED, nothing was checked" in capsys.readouterr().out
    monkeypatch.setenv("ARM64_CHECK", str(tmp_path / "none"))
    assert arm64_check.main([]) == 1
    assert "which is no file" in capsys.readouterr().err


def test_a_check_that_fails_ends_with_its_last_line() -> None:
    with pytest.raises(CheckFailedError, match=r"glibc failed \(3\): needs GLIBC_2.99"):
        arm64_check.call("glibc", "/bin/sh", "-c", "echo ELF; echo needs GLIBC_2.99; exit 3")


def test_features_of_another_processor_are_compared_on_their_own_scale() -> None:
    here = np.abs(np.random.default_rng(0).normal(size=(3, 1280))).astype(np.float32)
    half = here.astype(np.float16).astype(np.float32)
    assert "largest difference 0.0e+00" in compare("float32", here, here)
    assert "100.0% of the features are float16 numbers" in compare("float16", here, half)
    with pytest.raises(CheckFailedError, match=r"differ by more than 0\.0001"):
        compare("float32", here, half)
    with pytest.raises(CheckFailedError, match="half-precision kernels were not used"):
        compare("float16", here, here)
    with pytest.raises(CheckFailedError, match=r"differ by more than 0\.01"):
        compare("float16", here, half[:, ::-1])
    with pytest.raises(CheckFailedError, match="nothing to compare"):
        compare("float32", here * 0, here * 0)


def test_every_package_of_a_runtime_is_imported_those_in_namespaces_too(tmp_path: Path) -> None:
    for name in (
        "plain/__init__.py",
        "plain/inner/__init__.py",
        "space/inside/__init__.py",
        "alone.py",
        "x.libs/y",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert modules(tmp_path) == ["alone", "plain", "space.inside"]


def test_every_module_of_the_steps_is_imported_those_of_sub_packages_too() -> None:
    names = steps(arm64_check.ROOT / "spark" / "fruit_spark")
    assert {"fruit_spark", "fruit_spark.step_errors", "fruit_spark.photos.fetch"} <= set(names)
    assert [name for name in names if importlib.util.find_spec(name) is None] == []
