"""The pictures of docs/tour: PNGs of few colours, none larger than a page of documentation should load."""

import io
from typing import Final

from PIL import Image

from evidence.played_run import REPOSITORY

FOLDER: Final = REPOSITORY / "docs" / "tour"
MOST_BYTES: Final = 150_000
_COLOURS: Final = (128, 64, 32)


def save(picture: bytes, name: str) -> None:
    """As many colours as fit; ``SystemExit`` where the picture is too large with the fewest."""
    FOLDER.mkdir(exist_ok=True)
    size = 0
    for colours in _COLOURS:
        file = io.BytesIO()
        Image.open(io.BytesIO(picture)).convert("RGB").quantize(colours).save(file, "PNG", optimize=True)
        size = len(file.getvalue())
        if size <= MOST_BYTES:
            (FOLDER / f"{name}.png").write_bytes(file.getvalue())
            return
    raise SystemExit(f"error: {name}.png has {size:,} bytes, at most {MOST_BYTES:,}: take less of the page.")
