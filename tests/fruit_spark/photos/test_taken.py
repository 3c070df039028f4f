"""Promise: when and with what a photo was taken is read as usual programs write it, and harms no photo."""

import io

import pytest
from PIL import Image

from fruit_spark.photos.taken import taken

TAKEN, CHANGED, MODEL, DETAILS = 0x9003, 0x0132, 0x0110, 0x8769


def photo(kind: str, tags: dict[int, str], details: dict[int, str]) -> bytes:
    """As Pillow writes it."""
    notes = Image.Exif()
    for tag, value in tags.items():
        notes[tag] = value
    notes.get_ifd(DETAILS).update(details)
    sink = io.BytesIO()
    Image.new("RGB", (16, 16), "green").save(sink, kind, exif=notes)
    return sink.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_hour_and_camera_are_read_from_each_format(kind: str) -> None:
    made = photo(
        kind, {MODEL: "Canon  EOS R6\0", CHANGED: "2027:01:01 00:00:00"}, {TAKEN: "2026:11:28 14:59:59"}
    )
    assert taken(made) == "2026-11-28T14 Canon EOS R6"


def test_without_the_time_of_the_photo_that_of_its_file_counts() -> None:
    assert taken(photo("JPEG", {CHANGED: "2027:01:02 03:04:05"}, {})) == "2027-01-02T03 unknown camera"


@pytest.mark.parametrize("when", ["", "yesterday", "    :  :     :  :  ", "2026-11-28 14:00"])
def test_a_time_that_is_none_says_nothing(when: str) -> None:
    assert taken(photo("JPEG", {MODEL: "Pixel 9"}, {TAKEN: when})) is None


def test_a_photo_without_notes_or_with_damaged_ones_says_nothing() -> None:
    sink = io.BytesIO()
    Image.new("RGB", (16, 16)).save(sink, "JPEG")
    assert taken(sink.getvalue()) is None
    made = photo("JPEG", {MODEL: "Pixel 9"}, {TAKEN: "2026:11:28 14:59:59"})
    at = made.index(b"Exif") + 12
    for damaged in (made[:at], made[:at] + b"\xff" * 30 + made[at + 30 :], b"Exif"):
        assert taken(damaged) is None
