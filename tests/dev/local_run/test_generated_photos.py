"""Generated photos are real JPEGs of 100x100, the same on every machine and in every run."""

from pathlib import Path

import numpy as np
from PIL import Image

from local_run import generated_photos


def test_the_same_number_makes_the_same_files(tmp_path: Path) -> None:
    one, other = generated_photos.generate(tmp_path / "a", 40), generated_photos.generate(tmp_path / "b", 40)
    files = sorted(path.relative_to(one) for path in one.rglob("*.jpg"))
    assert len(files) == 40
    assert all((one / path).read_bytes() == (other / path).read_bytes() for path in files)


def test_photos_are_jpegs_in_folders_named_after_their_label(tmp_path: Path) -> None:
    folder = generated_photos.generate(tmp_path, 32)
    assert {path.name for path in folder.iterdir()} == {fruit.label for fruit in generated_photos.FRUITS}
    for path in folder.rglob("*.jpg"):
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (100, 100))


def test_every_label_has_two_films_of_as_many_photos(tmp_path: Path) -> None:
    folder = generated_photos.generate(tmp_path, 4 * len(generated_photos.FRUITS))
    for label in folder.iterdir():
        turned = [path for path in label.iterdir() if path.name.startswith("r_")]
        assert (len(turned), len(list(label.iterdir()))) == (2, 4)


def test_no_two_photos_are_alike() -> None:
    apples = [generated_photos.photo(generated_photos.FRUITS[0], number).astype(int) for number in range(4)]
    for number, photo in enumerate(apples):
        for other in apples[number + 1 :]:
            assert np.abs(photo - other).mean() > 1


def test_labels_differ_in_colour() -> None:
    means = [
        generated_photos.photo(fruit, 0)[40:60, 40:60].mean(axis=(0, 1)) for fruit in generated_photos.FRUITS
    ]
    for number, mean in enumerate(means):
        assert all(np.abs(mean - other).max() > 3 for other in means[number + 1 :])


def test_a_second_call_keeps_what_is_there(tmp_path: Path) -> None:
    folder = generated_photos.generate(tmp_path, 16)
    path = next(folder.rglob("*.jpg"))
    before = path.stat().st_mtime_ns
    generated_photos.generate(tmp_path, 16)
    assert path.stat().st_mtime_ns == before
