"""Promise: the overview counts every photo once, and the same photos give the same sample, in any tasks."""

import random

import numpy as np
import pytest

from fruit_contract.overview import LISTED_REJECTIONS, SAMPLED_PHOTOS, Overview
from fruit_spark.pca import overview as module
from fruit_spark.pca.overview import RowSummary, Summary, neighbours, overview, short_vectors

ROOT = "s3://bucket/"


def summaries_of(photos: list[str], tasks: int) -> list[Summary]:
    """Of photos that so many tasks have written, each component of a photo its own number."""
    summaries = []
    for task in range(tasks):
        mine = photos[task::tasks]
        summary = RowSummary(len(photos))
        components = np.array([[len(path), 0.123456, *range(8)] for path in mine], np.float32).reshape(-1, 10)
        summary.add(mine, [path.split("/")[-2] for path in mine], components)
        summaries.append(Summary.of(summary.as_bytes()))
    return summaries


def summarized(photos: list[str], tasks: int, rejected: list[tuple[str, str]] | None = None) -> Overview:
    return overview(summaries_of(photos, tasks), rejected or [], ROOT)


def paths(count: int) -> list[str]:
    return [f"{ROOT}Test/{number % 3}/{number}.jpg" for number in range(count)]


def test_a_small_result_is_whole_in_its_sample() -> None:
    seen = summarized(paths(10), tasks=3)
    assert seen["labels"] == {
        "0": {"processed": 4, "rejected": 0},
        "1": {"processed": 3, "rejected": 0},
        "2": {"processed": 3, "rejected": 0},
    }
    assert seen["sample"][0] == {
        "key": "Test/0/0.jpg",
        "label": "0",
        "components": [24.0, 0.1235, 0.0, 1.0, 2.0, 3.0],
    }
    assert [photo["label"] for photo in seen["sample"]] == sorted("0120120120")


@pytest.mark.parametrize("count", [SAMPLED_PHOTOS, 4 * SAMPLED_PHOTOS])
def test_a_large_result_is_sampled_evenly_whatever_the_tasks_are(count: int) -> None:
    photos = paths(count)
    seen = summarized(photos, tasks=7)
    assert len(seen["sample"]) == SAMPLED_PHOTOS
    shares = [sum(photo["label"] == label for photo in seen["sample"]) / SAMPLED_PHOTOS for label in "012"]
    assert shares == pytest.approx([1 / 3] * 3, abs=0.03)
    random.Random(1).shuffle(photos)
    assert summarized(photos, tasks=40) == seen


def test_rejected_photos_are_counted_by_label_and_reason_and_the_first_are_listed() -> None:
    rejected = [(f"{ROOT}Test/Kiwi/{number:04d}.jpg", f"reason {number % 2}") for number in range(999)]
    random.Random(2).shuffle(rejected)
    seen = summarized(paths(2), tasks=1, rejected=rejected)
    assert seen["labels"]["Kiwi"] == {"processed": 0, "rejected": 999}
    assert seen["reasons"] == {"reason 0": 500, "reason 1": 499}
    assert [one["key"] for one in seen["rejected"]] == [
        f"Test/Kiwi/{number:04d}.jpg" for number in range(LISTED_REJECTIONS)
    ]


def test_of_very_many_labels_the_largest_are_named() -> None:
    seen = summarized([f"{ROOT}{number}/a.jpg" for number in range(2000)] + [f"{ROOT}7/b.jpg"], tasks=2)
    assert seen["label_count"] == 2000
    assert len(seen["labels"]) == 500
    assert next(iter(seen["labels"].items())) == ("7", {"processed": 2, "rejected": 0})


def test_the_index_has_each_photo_once_and_no_more_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    photos = paths(50)
    whole = neighbours(summaries_of(photos, 3), ROOT)
    assert sorted(whole.column("key").to_pylist()) == sorted(path.removeprefix(ROOT) for path in photos)
    monkeypatch.setattr(module, "INDEXED_PHOTOS", 20)
    some = neighbours(summaries_of(photos, 3), ROOT)
    assert (
        some.column("key").to_pylist()
        == neighbours(summaries_of(photos[::-1], 7), ROOT).column("key").to_pylist()
    )
    assert some.num_rows == 20
    assert neighbours(summaries_of([], 1), ROOT).num_rows == 0


def test_short_vectors_keep_cosines_to_some_thousandths() -> None:
    vectors = np.random.default_rng(1).normal(size=(200, 256)).astype(np.float32)
    vectors *= 0.98 ** np.arange(256, dtype=np.float32)

    def cosines(rows: np.ndarray) -> np.ndarray:
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit @ unit.T

    short = short_vectors(vectors).astype(np.float32)
    assert np.abs(cosines(short) - cosines(vectors)).max() < 0.005
    assert not short_vectors(np.zeros((1, 4), np.float32)).any()
