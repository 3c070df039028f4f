"""Promise: Java starts without the module that it lacks, and with every other argument as it is."""

import subprocess
from pathlib import Path

from artifacts.java_launcher import install


def test_one_option_is_left_out_and_all_others_come_through(tmp_path: Path) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    java.chmod(0o755)
    install(tmp_path)
    install(tmp_path)
    others = ["-cp", "a b:c", "", "--add-modules=java.sql", "-Dx=$HOME", "*"]
    called = subprocess.run(
        [str(java), *others[:2], "--add-modules=jdk.incubator.vector", *others[2:]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert called.stdout.split("\0")[:-1] == others


def test_the_installer_s_copy_of_java_stays_as_it_is(tmp_path: Path) -> None:
    kept = tmp_path / "cache"
    kept.write_text("java")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").hardlink_to(kept)
    install(tmp_path)
    assert kept.read_text() == "java"
