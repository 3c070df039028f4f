"""Promise: every image below a folder is listed, whatever it is, and a folder that cannot be read is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from fruit_spark.photos.image_listing import list_images
from fruit_spark.step_errors import StepError
from tests.fruit_spark.odd_files import NO_RIGHTS, make_odd_files

LIST = """
import sys
from fruit_spark.photos.image_listing import list_images
from fruit_spark.step_errors import StepError
unseen = []
print(*(f"{item.key} {item.size}" for item in list_images(sys.argv[1], unseen)), sep="\\n")
print(*(f"{each.filename} {each.strerror}" for each in unseen), sep="\\n")
try:
    list_images(sys.argv[1])
except StepError as problem:
    print(problem)
"""


def listed_without_rights(folder: Path) -> list[str]:
    done = subprocess.run(
        [*NO_RIGHTS, sys.executable, "-c", LIST, str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_what_is_no_file_is_listed_like_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"photo")
    odd = make_odd_files(tmp_path)
    found = {Path(item.uri).name: item.size for item in list_images(str(tmp_path))}
    assert found.keys() == {"a.jpg", *odd}
    assert found["a.jpg"] == 5
    assert found["dangling.jpg"] == found["circle.jpg"] == -1


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for name in ("Kiwi", "Plum"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"photo")
    (tmp_path / "Kiwi").chmod(0)
    try:
        photo, closed, refusal = listed_without_rights(tmp_path)
    finally:
        (tmp_path / "Kiwi").chmod(0o700)
    assert photo == f"{tmp_path}/Plum/1.jpg 5"
    assert closed == f"{tmp_path}/Kiwi Permission denied"
    assert refusal == (
        f"The folder '{tmp_path}/Kiwi' could not be read (Permission denied): give access to it."
    )


def test_files_of_a_folder_that_cannot_be_searched_are_listed(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"photo")
    tmp_path.chmod(0o600)
    try:
        photo = listed_without_rights(tmp_path)[0]
    finally:
        tmp_path.chmod(0o700)
    assert photo == f"{tmp_path}/1.jpg -1"


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("", "There is no folder '': give one"),
        ("file://", "There is no folder 'file://': give one"),
        ("none", "There is no folder 'none': give one"),
        ("1.jpg", "There is no folder '1.jpg': give one"),
        ("a" * 300, r"The folder 'a{300}' could not be read \(File name too long\): give one that can be."),
    ],
)
def test_what_is_no_folder_is_refused(
    source: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1.jpg").write_bytes(b"photo")
    with pytest.raises(StepError, match=sentence):
        list_images(source)
