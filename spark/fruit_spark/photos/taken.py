"""When and with what a photo was taken: photos of one hour and one camera are of one occasion."""

import io
import re
from typing import Final

_DATE_TAKEN, _DATE_CHANGED, _CAMERA, _DETAILS = 0x9003, 0x0132, 0x0110, 0x8769
"""Tags of EXIF 2.32 (CIPA DC-008): DateTimeOriginal, DateTime, Model, and the place of the first."""
_HOUR: Final = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):")
_MARKS: Final = (b"Exif", b"eXIf", b"EXIF")
"""Of EXIF in JPEG, PNG and WebP: most photos without one are told by it, unopened."""


def taken(data: bytes) -> str | None:
    """The hour and the camera by a photo's EXIF, such as ``"2026-11-28T14 Canon EOS R6"``.

    None where it does not say when. Whatever is wrong with it is no reason to reject the photo.
    """
    if not any(mark in data for mark in _MARKS):
        return None
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
            notes = image.getexif()
            details = notes.get_ifd(_DETAILS)
        said = _HOUR.match(str(details.get(_DATE_TAKEN) or notes.get(_DATE_CHANGED) or ""))
        camera = str(notes.get(_CAMERA) or "unknown camera")
    except Exception:
        return None
    if said is None:
        return None
    year, month, day, hour = said.groups()
    if year == "0000" or "00" in (month, day):  # a clock that was never set
        return None
    return f"{year}-{month}-{day}T{hour} {' '.join(camera.replace(chr(0), ' ').split())[:64]}"
