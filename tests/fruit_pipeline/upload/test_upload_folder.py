"""Every file of a folder is accounted for: a photo under the key of its own name, or skipped and why."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fruit_pipeline.upload.folder import ImagesError, read_folder, twins


def save(folder: Path, *names: str, content: bytes = b"photo") -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def test_a_key_is_the_prefix_and_the_path_as_it_is(tmp_path: Path) -> None:
    names = ["Kiwi/a b+c%20#é.jpg", "Kiwi/e\u0301.JPG", "Pink Lady/sub/1.png"]
    folder = read_folder(save(tmp_path, *names), "Some/prefix/")
    assert {photo.key for photo in folder.photos} == {f"Some/prefix/{name}" for name in names}
    assert {photo.size for photo in folder.photos} == {5}
    assert folder.skipped == []


def test_what_is_no_photo_is_skipped_with_its_reason(tmp_path: Path) -> None:
    save(tmp_path, "Kiwi/1.jpg", "Kiwi/notes.txt", "loose.txt", f"{'é' * 100}/" * 6 + "1.jpg")
    save(tmp_path, ".thumbnails/2.jpg", "Kiwi/.cache/deep/3.jpg")
    save(tmp_path, "Kiwi/empty.jpg", content=b"")
    (tmp_path / "Kiwi" / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "Kiwi" / "pipe.jpg")
    Path(os.fsdecode(os.fsencode(tmp_path / "Kiwi") + b"/\xff.jpg")).write_bytes(b"photo")

    folder = read_folder(tmp_path).without_empty()

    assert [photo.key for photo in folder.photos] == ["Kiwi/1.jpg"]
    reasons = {os.fsencode(Path(each.path).name): each.reason for each in folder.skipped}
    assert reasons == {
        b"notes.txt": "is not an image by its name",
        b"loose.txt": "is not an image by its name",
        b"2.jpg": "lies in a hidden folder",
        b"3.jpg": "lies in a hidden folder",
        b"1.jpg": "has a key of more than 1024 bytes",
        b"empty.jpg": "is empty",
        b"gone.jpg": "cannot be read (No such file or directory)",
        b"pipe.jpg": "is not a regular file",
        b"\xff.jpg": "has a name that is not UTF-8",
    }


def test_a_link_is_followed_inside_the_folder_alone_and_named_otherwise(tmp_path: Path) -> None:
    secret = save(tmp_path / "outside", "secret.jpg", "Label/1.jpg")
    root = save(tmp_path / "photos", "Kiwi/1.jpg", "Kiwi/deep/2.jpg")
    links = {
        "Kiwi/inside.jpg": root / "Kiwi" / "1.jpg",
        "Kiwi/relative.jpg": Path("deep/2.jpg"),
        "Kiwi/out.jpg": secret / "secret.jpg",
        "Kiwi/up.jpg": Path("../../outside/secret.jpg"),
        "Kiwi/again.jpg": Path("out.jpg"),
        "Kiwi/circle": root,
        "Kiwi/itself.jpg": Path("itself.jpg"),
        "Kiwi/folder.jpg": Path("deep"),
        "Kiwi/notes.txt": secret / "secret.jpg",
        "Alias": Path("Kiwi"),
        "Foreign": secret / "Label",
        "Lost": Path("nowhere"),
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    (tmp_path / "alias").symlink_to(root)

    for folder in (root, tmp_path / "alias"):
        found = read_folder(folder, "Test/")
        keys = [photo.key for photo in found.photos]
        assert keys == [f"Test/Kiwi/{name}" for name in ("1.jpg", "inside.jpg", "relative.jpg", "deep/2.jpg")]
        assert {photo.size for photo in found.photos} == {5}
        assert {str(Path(each.path).relative_to(folder)): each.reason for each in found.skipped} == {
            **dict.fromkeys(
                ("Kiwi/out.jpg", "Kiwi/up.jpg", "Kiwi/again.jpg", "Kiwi/notes.txt", "Foreign"),
                "is a link out of the folder",
            ),
            **dict.fromkeys(("Kiwi/circle", "Kiwi/folder.jpg", "Alias"), "is a link to a folder"),
            "Kiwi/itself.jpg": "cannot be read (Too many levels of symbolic links)",
            "Lost": "is not an image by its name",
        }


@contextmanager
def nobody_s_rights() -> Iterator[None]:
    """Root may read every folder: for the moment the files are those of a user without rights."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_cannot_be_read_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, "Kiwi/1.jpg", "Closed/1.jpg")
    tmp_path.chmod(0o755)
    (tmp_path / "Closed").chmod(0)
    # pytest's own folders above this one are closed to others.
    monkeypatch.chdir(tmp_path)
    try:
        with nobody_s_rights():
            folder = read_folder(Path())
    finally:
        (tmp_path / "Closed").chmod(0o700)
    assert [each.reason for each in folder.skipped] == ["cannot be read (Permission denied)"]


def test_a_folder_without_labels_or_photos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match="does not exist"):
        read_folder(tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(ImagesError, match=r"'.*file' is a file: name one with a sub-folder per label"):
        read_folder(tmp_path / "file")
    (tmp_path / "file").unlink()
    (tmp_path / "Kiwi").mkdir()
    with pytest.raises(ImagesError, match="There is no image"):
        read_folder(tmp_path)
    save(tmp_path, "loose.jpg")
    with pytest.raises(ImagesError, match=r"lie directly in .*'loose.jpg': put each into a sub-folder"):
        read_folder(tmp_path)


def test_names_that_differ_in_case_or_unicode_form_alone_are_twins() -> None:
    keys = [
        "a/é.jpg",
        "a/e\u0301.jpg",
        "a/É.jpg",
        "a/Kiwi.jpg",
        "a/kiwi.jpg",
        "b/kiwi.jpg",
        "straße",
        "STRASSE",
    ]
    assert twins(keys) == [
        ["a/e\u0301.jpg", "a/É.jpg", "a/é.jpg"],
        ["a/Kiwi.jpg", "a/kiwi.jpg"],
        ["STRASSE", "straße"],
    ]


@given(st.text(), st.booleans())
def test_a_name_alone_has_no_twin(name: str, with_a_sibling: bool) -> None:
    assert twins([name, name + "x"] if with_a_sibling else [name]) == []
