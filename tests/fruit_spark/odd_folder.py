"""``python -m tests.fruit_spark.odd_folder FOLDER``: files of all odd kinds, and what Pillow makes of each.

Prints a JSON object: whether Pillow shows the file, by its path below the folder.
"""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.fruit_spark import photo_files
from tests.fruit_spark.photos.test_photo_variants import by_pillow, modes, mutated, oriented

SUFFIXES = (".jpg", ".JPEG", ".jfif", ".jpe", ".png", ".webp", ".bmp")


def files() -> Iterator[tuple[str, bytes]]:
    """Label and content. A suffix says nothing: each kind gets one after the other."""
    for name, make in photo_files.CONVERTED.items():
        yield "made", make()
        chance, data = random.Random(name), make()
        for _ in range(6):
            yield "damaged", mutated(data, chance)
        yield "cut", data[: len(data) // 2]
    for make, _ in photo_files.REJECTED.values():
        yield "refused", make()
    yield from (("oriented", data) for _, data in oriented())
    yield from (("modes", data) for _, data in modes())


def main() -> None:
    folder, shown = Path(sys.argv[1]), {}
    for number, (label, data) in enumerate(files()):
        name = f"{label}/{number}{SUFFIXES[number % len(SUFFIXES)]}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        shown[name] = by_pillow(data) is not None
    json.dump(shown, sys.stdout)


if __name__ == "__main__":
    main()
