"""Promise: the Python that is shipped needs a kernel and nothing else of the system that it runs on."""

import json
import os
import platform
import shutil
import subprocess
import tarfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from artifacts import arm64_check, debian, interpreter
from artifacts.archives import PLATFORMS, ArchiveError, Member, pack
from artifacts.arm64_check import CheckFailedError
from tests.fruit_spark.conftest import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUNTIME = ROOT / ".cache" / "runtime" / f"runtime-{platform.machine()}.tar.gz"
ASKED_FOR_AND_NOT_NEEDED = "libnuma.so"
"""The AWS SDK inside Arrow opens it by itself where it finds it, and goes on without. Debian's loader looks
where Debian has libraries; Amazon Linux has those of 64 bits elsewhere, in lib64."""
IMPORTS = """
import json, sys
sys.argv = ["arm64_worker", "./runtime", "imports"]
exec(compile(open(WORKER).read(), WORKER, "exec"), {"__name__": "__main__", "__file__": WORKER})
import platform
mapped = {line.split()[-1] for line in open("/proc/self/maps") if "/" in line}
print(json.dumps({"mapped": sorted(mapped), "executable": sys.executable, "libc": platform.libc_ver()}))
"""
SYSTEM = """
import json, os, ssl, sys
import numpy, pyarrow, zlib
print(json.dumps({
    "path": sys.path, "encoding": [sys.getfilesystemencoding(), open(os.devnull).encoding],
    "certificates": ssl.get_default_verify_paths().cafile,
}))
"""


@pytest.fixture(scope="module")
def unpacked(shipped_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("node")
    for archive, alias in ((shipped_python, "python"), (RUNTIME, "runtime")):
        with tarfile.open(archive) as packed:
            packed.extractall(folder / alias)
    return folder


def start(unpacked: Path, code: str, **environment: str) -> str:
    """What the Python of the archive prints, started as Spark does: by a path from its working directory."""
    done = subprocess.run(
        ["./python/bin/python3.11", "-c", code],
        cwd=unpacked,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "./runtime", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_all_that_the_steps_import_runs_without_a_library_of_the_system(unpacked: Path) -> None:
    worker = str(ROOT / "deploy" / "artifacts" / "arm64_worker.py")
    said = json.loads(start(unpacked, f"WORKER = {worker!r}\n{IMPORTS}").splitlines()[-1])
    assert said["mapped"]
    strange = [Path(name).name for name in said["mapped"] if not name.startswith(str(unpacked))]
    assert [name for name in strange if not name.startswith(ASKED_FOR_AND_NOT_NEEDED)] == []
    assert said["libc"] == ["glibc", "2.36"]
    assert said["executable"] == str(unpacked / "python" / "bin" / "python3.11")


def test_neither_libraries_nor_packages_of_the_system_are_let_in(unpacked: Path, tmp_path: Path) -> None:
    """EMR sets LD_LIBRARY_PATH for Hadoop's own libraries."""
    for name in ("libz.so.1", "libstdc++.so.6", "libm.so.6"):
        (tmp_path / name).write_text("of an older system")
    (tmp_path / ".local" / "lib" / "python3.11" / "site-packages").mkdir(parents=True)
    certificates = tmp_path / "certificates.pem"
    certificates.touch()
    poisoned = {"LD_LIBRARY_PATH": str(tmp_path), "HOME": str(tmp_path), "LANG": "en_US.UTF-8"}
    said = json.loads(start(unpacked, SYSTEM, **poisoned, SSL_CERT_FILE=str(certificates)))
    assert said["encoding"] == ["utf-8", "utf-8"]
    assert said["certificates"] == str(certificates)
    allowed = (str(unpacked), "./runtime")
    assert [folder for folder in said["path"] if folder and not folder.startswith(allowed)] == []


def test_it_starts_from_where_yarn_has_unpacked_it(
    spark: "SparkSession", shipped_python: Path, tmp_path: Path
) -> None:
    """By the localizer of YARN's node manager, which also sets the permissions of what it unpacks."""
    shutil.copyfile(shipped_python, tmp_path / "python.tar.gz")
    hadoop = spark.sparkContext._jvm.org.apache.hadoop  # type: ignore[union-attr]
    archive = hadoop.fs.Path(f"file://{tmp_path}/python.tar.gz")
    settings = hadoop.conf.Configuration()
    status = archive.getFileSystem(settings).getFileStatus(archive)
    records = hadoop.yarn.api.records
    resource = records.LocalResource.newInstance(
        records.URL.fromPath(archive),
        records.LocalResourceType.ARCHIVE,
        records.LocalResourceVisibility.PRIVATE,
        status.getLen(),
        status.getModificationTime(),
    )
    user = hadoop.security.UserGroupInformation.getCurrentUser()
    files = hadoop.fs.FileContext.getLocalFSFileContext(settings)
    target = hadoop.fs.Path(f"file://{tmp_path}/container")
    localized = hadoop.yarn.util.FSDownload(files, user, settings, target, resource).call()
    (tmp_path / "python").symlink_to(localized.toUri().getPath())
    assert start(tmp_path, "import pathlib, sys; print(pathlib.Path(sys.prefix).name)") == "python.tar.gz\n"


def test_both_processors_get_the_same_packages() -> None:
    pinned = debian.read_list(debian.LIST)
    assert {package.platform for package in pinned} == set(PLATFORMS)
    assert set(Counter(package.name for package in pinned).values()) == {len(PLATFORMS)}
    assert interpreter.LIBRARIES.keys() <= {package.name for package in pinned}


def test_a_line_that_pins_nothing_is_named(tmp_path: Path) -> None:
    listed = tmp_path / "interpreter.txt"
    listed.write_text("# a comment\nx86_64 libc6=2.36\n")
    with pytest.raises(ArchiveError, match=r"interpreter.txt, line 2: 'x86_64 libc6=2.36' is not 'platform"):
        debian.read_list(listed)


PINNED = next(package for package in debian.read_list(debian.LIST) if package.name == "zlib1g")


def apt(monkeypatch: pytest.MonkeyPatch, downloads: str) -> None:
    """Stands in for apt: ``downloads`` is a shell command, run in the folder of the downloads."""

    @contextmanager
    def options(platform: str) -> Iterator[tuple[str, ...]]:
        yield ("-c", downloads)

    monkeypatch.setattr(debian, "_apt", options)
    monkeypatch.setattr(debian, "_APT_GET", "sh")


def test_a_package_with_another_checksum_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    apt(monkeypatch, "echo other > zlib1g.deb")
    with pytest.raises(ArchiveError, match=r"zlib1g\.deb has SHA-256 .* not pinned: do not use it"):
        debian.unpack([PINNED], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_version_that_debian_has_no_more_is_said_to_be_locked_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    apt(monkeypatch, "echo \"E: Version '1' for 'zlib1g' was not found\" >&2; exit 100")
    with pytest.raises(ArchiveError, match=r"Version '1' for 'zlib1g' was not found; .* run `make lock`"):
        debian.unpack([PINNED], tmp_path)


def test_without_apt_one_sentence_says_where_to_build(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    assert interpreter.main(["--output", str(tmp_path / "out")]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: apt-get was not found: the Python for emr-6 is made of Debian's packages")
    assert not (tmp_path / "out").exists() or list((tmp_path / "out").iterdir()) == []


def test_on_the_emulator_the_loader_alone_is_started_differently(tmp_path: Path) -> None:
    shipped = (ROOT / "deploy" / "artifacts" / "interpreter.sh").read_text()
    for number, script in enumerate((shipped, shipped.replace("exec ", "eval "))):
        member = Member("bin/python3.11", script.encode(), executable=True)
        pack([member], tmp_path / f"{number}.tar.gz")
    command = arm64_check.emulated_python(tmp_path / "0.tar.gz", tmp_path / "whole")
    changed = [line for line in command.read_text().splitlines() if line not in shipped.splitlines()]
    assert len(changed) == 1
    assert changed[0].startswith('exec qemu-aarch64-static -cpu neoverse-n1 -r 4.14.0 "$home/lib/ld.so" ')
    assert os.access(command, os.X_OK)
    with pytest.raises(CheckFailedError, match=r"python3.11 does not start by 'exec"):
        arm64_check.emulated_python(tmp_path / "1.tar.gz", tmp_path / "other")
