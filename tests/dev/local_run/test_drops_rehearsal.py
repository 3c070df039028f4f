"""`make drops` counts: a figure that differs is named, and a folder that is too small is refused at once."""

from pathlib import Path

import pytest

from fruit_pipeline.upload.folder import ImagesError
from local_run import drops_rehearsal, generated_photos
from local_run.drops_rehearsal import Figure, Script

SCRIPT = Script(first=12, more=3, overwritten=1, deleted=2)


def test_the_figures_that_differ_are_named_and_no_others() -> None:
    figures = [Figure("clusters left", 0, 1), Figure("rows at the end", 340, 340)]
    assert drops_rehearsal.problems(figures) == ["Clusters left: 1, not 0."]


def test_the_photos_come_from_all_over_the_folder(tmp_path: Path) -> None:
    chosen = drops_rehearsal.choose(generated_photos.generate(tmp_path, 2 * SCRIPT.photos), SCRIPT)
    assert len({photo.key for photo in chosen}) == SCRIPT.photos
    assert len({photo.key.split("/")[1] for photo in chosen}) == len(generated_photos.FRUITS)
    assert all(photo.key.startswith("Test/") for photo in chosen)


def test_a_folder_with_too_few_photos_is_refused_with_their_number(tmp_path: Path) -> None:
    folder = generated_photos.generate(tmp_path, SCRIPT.photos - 1)
    with pytest.raises(ImagesError, match="has 15 photos, and the drops take 16: name a larger one"):
        drops_rehearsal.choose(folder, SCRIPT)
